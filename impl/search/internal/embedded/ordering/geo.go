package ordering

import (
	"math"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Geo sorts by the distance of a field's nearest place from another place.
type Geo struct {
	Field *schema.Field
	From  geo.Point
	// Precision makes distances within the same ring of that width equal. Exclude makes all distances up to it equal. Both are in metres; 0
	// means none.
	Precision, Exclude float64
}

// geo parses "48.85, 2.35, precision: 2 km, exclude_radius: 5 mi".
func (k *Key) geo(f *schema.Field, options string) error {
	wrong := &schema.Error{Status: 400, Text: "Bad syntax for sorting field `" + f.Name + "`"}
	parts := strings.Split(options, ",")
	if len(parts) < 2 {
		return wrong
	}
	g := &Geo{Field: f}
	for i, into := range []*float64{&g.From.Lat, &g.From.Lng} {
		v, err := strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
		if err != nil || !(math.Abs(v) <= []float64{90, 180}[i]) { // refuses NaN too
			return wrong
		}
		*into = v
	}
	for _, option := range parts[2:] {
		name, v, _ := strings.Cut(option, ":")
		metres, ok := geo.Metres(v)
		switch name = strings.TrimSpace(name); {
		case !ok || metres < 0:
			return wrong
		case name == "precision":
			g.Precision = metres
		case name == "exclude_radius":
			g.Exclude = metres
		default:
			return wrong
		}
	}
	k.Geo = g
	return nil
}

// Nearest returns the distance of the nearest of the places, in metres.
func (g *Geo) Nearest(places []geo.Point) float64 {
	best := math.Inf(1)
	for _, p := range places {
		best = min(best, g.From.Distance(p))
	}
	return best
}

// Weigh returns the distance by which documents are sorted.
func (g *Geo) Weigh(places []geo.Point) float64 {
	d := g.Nearest(places)
	if d < g.Exclude {
		return 0
	}
	if g.Precision > 0 {
		return math.Ceil(d / g.Precision)
	}
	return math.Round(d) // Typesense's distances are whole metres
}
