package schema

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// floatKind is a 32-bit float.
type floatKind struct{ plain }

func (floatKind) name() string             { return "float" }
func (floatKind) sorted(array bool) bool   { return !array }
func (floatKind) counted() bool            { return true }
func (floatKind) numeric() bool            { return true }
func (floatKind) columns(f *Field) Columns { return Columns{Array: f.Array, Floats: f.Index || f.Sort} }

func (floatKind) order(_ *Field, v Value) (o Order, ok bool) {
	if len(v.Floats) == 0 {
		return o, false
	}
	return Order{Number: v.Floats[0]}, true
}

func (floatKind) texts(to []string, v Value) []string {
	for _, x := range v.Floats {
		to = append(to, strconv.FormatFloat(x, 'g', 6, 32))
	}
	return to
}

func (floatKind) number(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	return float64(float32(x)), err
}

// shown writes each number such that it is recognisable as a float.
func (floatKind) shown(v Value) (list []any) {
	for _, x := range v.Floats {
		text := strconv.FormatFloat(x, 'g', -1, 32)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		list = append(list, json.Number(text))
	}
	return list
}

func (floatKind) detects(raw any) bool {
	_, ok := raw.(json.Number)
	return ok
}

func (k floatKind) read(f *Field, raw any, dirty Dirty) (Value, any, bool, error) {
	return readValues(k, "a float", f, raw, dirty)
}

// one clamps numbers beyond 32 bits to the largest number, because JSON has no infinite sums or values.
func (floatKind) one(raw any, coerce bool, v *Value) (any, bool) {
	if !single(raw) {
		return nil, false
	}
	n, stored, ok := asFloat(raw, coerce)
	v.Floats = append(v.Floats, min(max(n, -math.MaxFloat32), math.MaxFloat32))
	return stored, ok
}

func (floatKind) filter(f *Field, w Written, _ func() error) (Condition, error) {
	var want Reals
	err := numbers(f, w, func(comparator, text string) error {
		r, err := realInterval(f, comparator, text)
		want = append(want, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return want, nil
}

func realInterval(f *Field, comparator, s string) (r Range[float64], err error) {
	if low, high, ok := bounds(comparator, s); ok {
		if r.Low, err = realNumber(f, low, ""); err == nil {
			r.High, err = realNumber(f, high, "")
		}
		return r, err
	}
	n, err := realNumber(f, s, comparator)
	if err != nil {
		return r, err
	}
	r = Range[float64]{n, n}
	switch comparator {
	case ">":
		r = Range[float64]{math.Nextafter(n, math.Inf(1)), math.Inf(1)}
	case ">=":
		r.High = math.Inf(1)
	case "<":
		r = Range[float64]{math.Inf(-1), math.Nextafter(n, math.Inf(-1))}
	case "<=":
		r.Low = math.Inf(-1)
	}
	return r, nil
}

// realNumber parses a float with the precision of the index, which is 32 bits.
func realNumber(f *Field, s, comparator string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err == nil && !math.IsNaN(n) && strings.Trim(s, "+-.0123456789eE") == "" {
		return float64(float32(n)), nil
	}
	if comparator != "" {
		return 0, refuse("Error with filter field `%s`: Not a float.", f.Name)
	}
	return 0, comparatorError(f)
}

// asFloat narrows to 32 bits, as documented for the type. The stored text is not changed.
func asFloat(raw any, coerce bool) (float64, any, bool) {
	n, isNumber := raw.(json.Number)
	if !isNumber {
		if !coerce {
			return 0, nil, false
		}
		if b, ok := raw.(bool); ok {
			n = "0.0"
			if b {
				n = "1.0"
			}
		} else {
			n = json.Number(strings.TrimSpace(scalarText(raw)))
		}
	}
	v, err := strconv.ParseFloat(n.String(), 64)
	if (err != nil && !math.IsInf(v, 0)) || math.IsNaN(v) || (!isNumber && !validNumber(n.String())) {
		return 0, nil, false
	}
	return float64(float32(v)), n, true
}

func validNumber(s string) bool {
	return json.Valid([]byte(s)) && s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9')
}
