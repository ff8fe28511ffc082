package schema

import (
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
)

// polygonKind is an area on earth. Its corners are stored in a Value as pointKind stores places.
type polygonKind struct{ plain }

func (polygonKind) name() string           { return "geopolygon" }
func (polygonKind) lists() bool            { return false }
func (polygonKind) sortable(bool) bool     { return false }
func (polygonKind) composite() bool        { return true }
func (polygonKind) columns(*Field) Columns { return Columns{Array: true, Floats: true} }

func (k polygonKind) read(f *Field, raw any, _ Dirty) (v Value, stored any, changed bool, err error) {
	if _, ok := k.one(raw, false, &v); !ok {
		err = refuse("Field `%s` must be a geopolygon: `lat, lng, lat, lng, ...` of 3 to %d corners in their order around it.", f.Name, maxCorners)
	}
	return v, nil, false, err
}

func (polygonKind) one(raw any, _ bool, v *Value) (any, bool) {
	list, ok := corners(raw)
	for _, c := range list {
		if ok {
			v.Floats = append(v.Floats, c.lat, c.lng)
		}
	}
	return raw, ok
}

// filter parses places, "(lat, lng)". The polygon must contain one of them.
func (polygonKind) filter(f *Field, w Written, _ func() error) (Condition, error) {
	wrong := refuse("Value of filter field `%s`: must be in the `(-44.50, 170.29)` format.", f.Name)
	want, ok := written(w, geo.ParsePoint)
	if !ok {
		return nil, wrong
	}
	return Around(want), nil
}

// Around requires a polygon that contains one of the places.
type Around []geo.Point

// Meets implements Condition.
func (a Around) Meets(_ *Field, v Value) bool {
	polygon := geo.Area{Corners: geo.Points(v.Floats)}
	return len(polygon.Corners) > 0 && slices.ContainsFunc(a, polygon.Holds)
}

// Work implements Weighed.
func (a Around) Work() int { return len(a) }
