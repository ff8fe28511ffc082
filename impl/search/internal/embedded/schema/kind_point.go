package schema

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
)

// pointKind is a place on earth, stored as two floats of a Value: latitude and longitude.
type pointKind struct{ plain }

func (pointKind) name() string       { return "geopoint" }
func (pointKind) sorted(bool) bool   { return true }
func (pointKind) sortable(bool) bool { return true }
func (pointKind) composite() bool    { return true }
func (pointKind) byDistance() bool   { return true }

// columns stores latitude and longitude of each place consecutively, even for a field that is only used for sorting.
func (pointKind) columns(*Field) Columns { return Columns{Array: true, Floats: true} }

func (k pointKind) read(f *Field, raw any, _ Dirty) (Value, any, bool, error) {
	if !f.Array && !point(raw) {
		return Value{}, nil, false, refuse("Field `%s` must be a 2 element array: [lat, lng].", f.Name)
	}
	v, err := readWhole(k, "a geopoint", f, raw)
	return v, nil, false, err
}

func (pointKind) one(raw any, _ bool, v *Value) (any, bool) {
	if !point(raw) {
		return nil, false
	}
	pair, _ := raw.([]any)
	for _, side := range pair {
		n, _ := side.(json.Number)
		x, _ := n.Float64()
		v.Floats = append(v.Floats, x)
	}
	return raw, true
}

// point reports whether raw is a pair of latitude and longitude.
func point(raw any) bool {
	pair, ok := raw.([]any)
	if !ok || len(pair) != 2 {
		return false
	}
	for i, most := range []float64{90, 180} {
		n, ok := pair[i].(json.Number)
		if !ok {
			return false
		}
		if v, err := strconv.ParseFloat(n.String(), 64); err != nil || v < -most || v > most {
			return false
		}
	}
	return true
}

func (pointKind) filter(f *Field, w Written, _ func() error) (Condition, error) {
	wrong := refuse("Value of filter field `%s`: must be in the `(-44.50, 170.29, 0.75 km)` or (56.33, -65.97, 23.82, -127.82) format.", f.Name)
	want, ok := written(w, geo.ParseArea)
	if !ok {
		return nil, wrong
	}
	return InAreas(want), nil
}

// InAreas requires a place in one of the areas.
type InAreas []geo.Area

// Meets implements Condition.
func (a InAreas) Meets(_ *Field, v Value) bool {
	for i := 0; i+1 < len(v.Floats); i += 2 {
		p := geo.Point{Lat: v.Floats[i], Lng: v.Floats[i+1]}
		if slices.ContainsFunc(a, func(one geo.Area) bool { return one.Holds(p) }) {
			return true
		}
	}
	return false
}

// Work implements Weighed.
func (a InAreas) Work() (n int) {
	for _, one := range a {
		n += max(1, len(one.Corners))
	}
	return n
}
