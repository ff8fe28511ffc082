package ordering

import (
	"math"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Decay sorts by how far a field's number is from Origin, by the documented rules ("Decay Function Sorting", "Sorting with a Pivot Value").
type Decay struct {
	Origin int64
	// Func is gauss, linear, exp or diff. The first three give 1 at the origin and Rate at distance Scale from it. diff gives the distance
	// itself.
	Func string
	// Offset is the distance from the origin up to which a number counts as being at the origin.
	Offset, Scale float64
	Rate          float64
}

// decay parses "origin: 10, func: gauss, scale: 5, offset: 1, decay: 0.5". scale is required except for diff; offset and decay are
// optional.
func (k *Key) decay(options string) error {
	wrong := &schema.Error{Status: 400, Text: "Bad syntax for sorting field `" + k.Field.Name + "`"}
	if !k.Field.Numeric() || k.Field.Array {
		return wrong
	}
	d := &Decay{Rate: 0.5}
	seen := map[string]bool{}
	for option := range strings.SplitSeq(options, ",") {
		name, v, ok := strings.Cut(option, ":")
		name, v = strings.TrimSpace(name), strings.TrimSpace(v)
		if !ok || seen[name] {
			return wrong
		}
		seen[name] = true
		var err error
		var whole int64
		switch name {
		case "origin":
			d.Origin, err = strconv.ParseInt(v, 10, 64)
		case "func":
			d.Func = v
		case "scale":
			whole, err = strconv.ParseInt(v, 10, 64)
			if d.Scale = math.Abs(float64(whole)); whole == 0 {
				return wrong
			}
		case "offset":
			whole, err = strconv.ParseInt(v, 10, 64)
			d.Offset = float64(whole)
		case "decay":
			d.Rate, err = strconv.ParseFloat(v, 64)
		default:
			return wrong
		}
		if err != nil {
			return wrong
		}
	}
	switch d.Func {
	case "diff":
	case "gauss", "linear", "exp":
		if !seen["scale"] || !(d.Rate >= 0 && d.Rate <= 1) { // refuses NaN too
			return wrong
		}
	default:
		return wrong
	}
	if !seen["origin"] {
		return wrong
	}
	k.Decay = d
	return nil
}

// Weigh returns the score of a number by its distance from the origin, or with diff that distance. It returns false if there is no number.
func (d *Decay) Weigh(v schema.Value) (weight float64, ok bool) {
	var far float64
	switch {
	case len(v.Ints) > 0:
		far = float64(apart(v.Ints[0], d.Origin))
	case len(v.Floats) > 0:
		far = math.Abs(v.Floats[0] - float64(d.Origin))
	default:
		return 0, false
	}
	far = max(0, far-d.Offset)
	switch {
	case d.Func == "diff":
		return far, true
	case far == 0: // also if the rate is 0
		return 1, true
	case d.Func == "gauss":
		return math.Exp(math.Log(d.Rate) * (far / d.Scale) * (far / d.Scale)), true
	case d.Func == "exp":
		return math.Exp(math.Log(d.Rate) * far / d.Scale), true
	}
	return max(0, 1-far*(1-d.Rate)/d.Scale), true
}

// apart returns the distance of two integers, which may need 64 bits.
func apart(a, b int64) uint64 {
	if a < b {
		a, b = b, a
	}
	return uint64(a) - uint64(b)
}
