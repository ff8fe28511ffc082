// Package geo implements places on earth, and circles and polygons that contain them.
package geo

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Area is a circle around Center, or, with Corners, a polygon.
type Area struct {
	Center  Point
	Radius  float64 // in metres
	Corners []Point
}

// Point is a place, in degrees.
type Point struct{ Lat, Lng float64 }

const (
	metresOfKm   = 1000
	metresOfMile = 1609.344
)

// ParseArea parses "(lat, lng, 5 km)" or "(lat, lng, lat, lng, lat, lng, ...)".
func ParseArea(text string) (Area, bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(text), "(")
	text, closed := strings.CutSuffix(text, ")")
	if !ok || !closed {
		return Area{}, false
	}
	parts := strings.Split(text, ",")
	parts = slices.DeleteFunc(parts, func(p string) bool { return strings.Contains(p, "exact_filter_radius") }) // it is always exact
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

// ParsePoint parses "(lat, lng)".
func ParsePoint(text string) (Point, bool) {
	text, open := strings.CutPrefix(strings.TrimSpace(text), "(")
	text, closed := strings.CutSuffix(text, ")")
	lat, lng, two := strings.Cut(text, ",")
	at, ok := place(lat, lng)
	return at, ok && open && closed && two
}

// Metres parses a distance in km or mi, and returns it in metres.
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
	a, b := math.Sin(dLat/2), math.Sin(dLng/2)
	h := a*a + math.Cos(rad(p.Lat))*math.Cos(rad(o.Lat))*(b*b)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// Holds reports whether a point is in the area. The edges of a polygon are straight lines in degrees.
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

// Points returns the places in a list of alternating latitudes and longitudes.
func Points(places []float64) []Point {
	var out []Point
	for i := 0; i+1 < len(places); i += 2 {
		out = append(out, Point{places[i], places[i+1]})
	}
	return out
}
