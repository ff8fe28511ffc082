package filter

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Check is a condition on a document's places or on the elements of its objects, which an index does not know. One of the two is set.
type Check struct {
	Geo     *Geo
	Element *Element
}

// Geo wants a field's point, or one of its points, in one of the areas; of a field of polygons it wants one of Points in the polygon. With Negate it wants none there.
type Geo struct {
	Field  *schema.Field
	Areas  []Area
	Points []Point
	Negate bool
}

// Area is a circle around Center, or with Corners a polygon.
type Area struct {
	Center  Point
	Radius  float64 // in metres
	Corners []Point
}

// Point is a place in degrees.
type Point struct{ Lat, Lng float64 }

// Field is the field that the condition looks at.
func (c *Check) Field() *schema.Field {
	if c.Geo != nil {
		return c.Geo.Field
	}
	return c.Element.Object
}

// Element wants one element of a list of objects to meet all of Inner.
type Element struct {
	Object *schema.Field
	Path   string
	Inner  *Node
}

// element reads the beginning of "object.{ ... }".
func (p *parser) element() (path string, ok bool) {
	rest := p.text[p.pos:]
	at := strings.Index(rest, ".{")
	if at <= 0 || strings.ContainsAny(rest[:at], ":&|()`{} ") {
		return "", false
	}
	p.pos += at + len(".{")
	return rest[:at], true
}

// inside reads the conditions on the elements of an object, up to the closing brace.
func (p *parser) inside(path string) (*Node, error) {
	f, ok := p.schema.Field(p.prefix + path)
	switch {
	case !ok:
		return nil, refuse("Could not find a filter field named `%s` in the schema.", p.prefix+path)
	case f.Kind != schema.Object:
		return nil, errSyntax
	case p.braces > 0:
		return nil, refuse("Could not parse the filter query: braces inside braces.")
	}
	p.blanks()
	if p.at("}") { // ends a real server (reference, section 9)
		return nil, refuse("Filter query cannot be empty.")
	}
	before := p.prefix
	p.prefix, p.braces = before+path+".", p.braces+1
	inner, err := p.expression(1)
	p.prefix, p.braces = before, p.braces-1
	if err != nil {
		return nil, err
	}
	p.blanks()
	if !p.at("}") {
		return nil, errSyntax
	}
	p.pos++
	return &Node{Op: Document, Check: &Check{Element: &Element{Object: f, Path: f.Name, Inner: inner}}}, nil
}

// geoNode reads the areas of a condition on a place, or the places of one on a polygon.
func geoNode(f *schema.Field, v raw) (*Node, error) {
	if f.Kind == schema.GeoPolygon {
		return polygonNode(f, v)
	}
	wrong := refuse("Value of filter field `%s`: must be in the `(-44.50, 170.29, 0.75 km)` or (56.33, -65.97, 23.82, -127.82) format.", f.Name)
	g := &Geo{Field: f, Negate: v.negate}
	if v.broken || len(v.items) == 0 {
		return nil, wrong
	}
	for _, text := range areas(v) {
		a, ok := area(text)
		if !ok {
			return nil, wrong
		}
		g.Areas = append(g.Areas, a)
	}
	return &Node{Op: Document, Check: &Check{Geo: g}}, nil
}

// polygonNode reads the places, "(lat, lng)", of which the polygon shall hold one.
func polygonNode(f *schema.Field, v raw) (*Node, error) {
	wrong := refuse("Value of filter field `%s`: must be in the `(-44.50, 170.29)` format.", f.Name)
	g := &Geo{Field: f, Negate: v.negate}
	if v.broken || len(v.items) == 0 {
		return nil, wrong
	}
	for _, text := range areas(v) {
		text, open := strings.CutPrefix(strings.TrimSpace(text), "(")
		text, closed := strings.CutSuffix(text, ")")
		lat, lng, two := strings.Cut(text, ",")
		at, ok := place(lat, lng)
		if !open || !closed || !two || !ok {
			return nil, wrong
		}
		g.Points = append(g.Points, at)
	}
	return &Node{Op: Document, Check: &Check{Geo: g}}, nil
}

// areas returns the texts between parentheses.
func areas(v raw) (out []string) {
	for _, it := range v.items {
		out = append(out, it.text)
	}
	return out
}

const (
	metresOfKm   = 1000
	metresOfMile = 1609.344
)

// area reads "(lat, lng, 5 km)" or "(lat, lng, lat, lng, lat, lng, ...)".
func area(text string) (Area, bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(text), "(")
	text, closed := strings.CutSuffix(text, ")")
	if !ok || !closed {
		return Area{}, false
	}
	parts := strings.Split(text, ",")
	parts = slices.DeleteFunc(parts, func(p string) bool { return strings.Contains(p, "exact_filter_radius") }) // it is exact anyway
	if len(parts) == 3 {
		if metres, ok := Metres(parts[2]); ok {
			at, ok := place(parts[0], parts[1])
			return Area{Center: at, Radius: metres}, ok && metres >= 0
		}
		return Area{}, false
	}
	if len(parts) < 6 || len(parts)%2 != 0 {
		return Area{}, false
	}
	var a Area
	for i := 0; i < len(parts); i += 2 {
		at, ok := place(parts[i], parts[i+1])
		if !ok {
			return Area{}, false
		}
		a.Corners = append(a.Corners, at)
	}
	return a, true
}

// Metres reads a distance in km or mi.
func Metres(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	scale := float64(metresOfKm)
	number, ok := strings.CutSuffix(text, "km")
	if !ok {
		scale = metresOfMile
		if number, ok = strings.CutSuffix(text, "mi"); !ok {
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	return n * scale, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

func place(lat, lng string) (Point, bool) {
	a, errA := strconv.ParseFloat(strings.TrimSpace(lat), 64)
	b, errB := strconv.ParseFloat(strings.TrimSpace(lng), 64)
	return Point{a, b}, errA == nil && errB == nil && math.Abs(a) <= 90 && math.Abs(b) <= 180
}

const earthRadius = 6371008.8 // mean, in metres

// Distance returns the great-circle distance in metres (haversine).
func (p Point) Distance(o Point) float64 {
	rad := func(d float64) float64 { return d * math.Pi / 180 }
	dLat, dLng := rad(o.Lat-p.Lat), rad(o.Lng-p.Lng)
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(rad(p.Lat))*math.Cos(rad(o.Lat))*math.Pow(math.Sin(dLng/2), 2)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// Holds says whether a point lies in the area. The edges of a polygon are straight in degrees.
func (a Area) Holds(p Point) bool {
	if len(a.Corners) == 0 {
		return a.Center.Distance(p) <= a.Radius
	}
	in := false
	for i, j := 0, len(a.Corners)-1; i < len(a.Corners); j, i = i, i+1 {
		c, d := a.Corners[i], a.Corners[j]
		if (c.Lat > p.Lat) != (d.Lat > p.Lat) && p.Lng < (d.Lng-c.Lng)*(p.Lat-c.Lat)/(d.Lat-c.Lat)+c.Lng {
			in = !in
		}
	}
	return in
}

// Holds says whether a document meets the condition.
func (c *Check) Holds(doc schema.Document) bool {
	if c.Geo != nil {
		return c.Geo.Meets(schema.Places(doc, c.Geo.Field))
	}
	return slices.ContainsFunc(schema.Elements(doc, c.Element.Path), func(element schema.Document) bool {
		return holds(c.Element.Inner, c.Element.Path+".", element)
	})
}

// Meets says whether a document with these places, or a polygon of these corners, of each the latitude and the longitude, meets the condition.
func (g *Geo) Meets(places []float64) bool {
	if g.Field.Kind == schema.GeoPolygon {
		polygon := Area{Corners: PointsOf(places)}
		return (len(places) > 0 && slices.ContainsFunc(g.Points, polygon.Holds)) != g.Negate
	}
	for i := 0; i+1 < len(places); i += 2 {
		p := Point{places[i], places[i+1]}
		if slices.ContainsFunc(g.Areas, func(a Area) bool { return a.Holds(p) }) {
			return !g.Negate
		}
	}
	return g.Negate
}

// Size is the work for one place of a document, or corner of a polygon, beside that of a single circle.
func (g *Geo) Size() int {
	n := len(g.Points)
	for _, a := range g.Areas {
		n += max(1, len(a.Corners))
	}
	return n
}

// Points returns the places that a document's field holds.
func Points(doc schema.Document, f *schema.Field) []Point { return PointsOf(schema.Places(doc, f)) }

// PointsOf returns places of which the latitude and the longitude stand one after the other.
func PointsOf(places []float64) []Point {
	var out []Point
	for i := 0; i+1 < len(places); i += 2 {
		out = append(out, Point{places[i], places[i+1]})
	}
	return out
}

func holds(n *Node, prefix string, element schema.Document) bool {
	switch n.Op {
	case And:
		return holds(n.Left, prefix, element) && holds(n.Right, prefix, element)
	case Or:
		return holds(n.Left, prefix, element) || holds(n.Right, prefix, element)
	case Leaf:
		if n.Clause.Field == nil {
			return false
		}
		v := n.Clause.Field.Inside(element, prefix)
		return n.Clause.meets(v) != n.Clause.Negate
	}
	return false
}

// meets says whether one of the values fits one of the alternatives.
func (c *Clause) meets(v schema.Value) bool {
	in := func(i int64) bool {
		return slices.ContainsFunc(c.Ints, func(r Range[int64]) bool { return r.Low <= i && i <= r.High })
	}
	inFloat := func(x float64) bool {
		return slices.ContainsFunc(c.Floats, func(r Range[float64]) bool { return r.Low <= x && x <= r.High })
	}
	word := func(s string) bool {
		have := c.Field.Analyzer().Words(s)
		return slices.ContainsFunc(c.Words, func(w Words) bool { return w.fits(have) })
	}
	return slices.ContainsFunc(v.Ints, in) || slices.ContainsFunc(v.Floats, inFloat) || slices.ContainsFunc(v.Strings, word)
}

// fits compares the words of one value.
func (w Words) fits(have []string) bool {
	if len(w.List) == 0 {
		return false
	}
	same := func(have, wanted string, last bool) bool {
		return have == wanted || last && w.Prefix && strings.HasPrefix(have, wanted)
	}
	if w.Exact {
		if len(have) < len(w.List) || len(have) > len(w.List) && !w.Prefix {
			return false
		}
		for i, wanted := range w.List {
			if !same(have[i], wanted, i == len(w.List)-1) {
				return false
			}
		}
		return true
	}
	for i, wanted := range w.List {
		if !slices.ContainsFunc(have, func(h string) bool { return same(h, wanted, i == len(w.List)-1) }) {
			return false
		}
	}
	return true
}

// Checks says whether a document must be looked at for the filter: for elements of objects, and not for places.
func (n *Node) Checks() bool {
	return n != nil && (n.Op == Document && n.Check.Element != nil || n.Left.Checks() || n.Right.Checks())
}

// Loosened returns a filter without conditions on documents that lets through all that this one does; nil lets everything through.
func (n *Node) Loosened() *Node {
	if n == nil {
		return nil
	}
	switch n.Op {
	case Document:
		if n.Check.Element != nil {
			return n.Check.Element.Inner.Loosened()
		}
		return nil
	case And:
		a, b := n.Left.Loosened(), n.Right.Loosened()
		if a == nil || b == nil {
			if a == nil {
				return b
			}
			return a
		}
		return &Node{Op: And, Left: a, Right: b}
	case Or:
		a, b := n.Left.Loosened(), n.Right.Loosened()
		if a == nil || b == nil {
			return nil
		}
		return &Node{Op: Or, Left: a, Right: b}
	case Leaf:
		if n.Clause.Negate { // of an element: the document may have another that fits
			return nil
		}
	}
	return n
}
