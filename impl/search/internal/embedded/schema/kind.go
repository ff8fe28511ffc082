package schema

import "encoding/json"

// kind is a type of field: which values it has and how they are processed. Each kind is a Go type in a file of its own (kind_*.go) and a
// line in kinds. No other package knows the kinds: they use the methods of Field, and TestKinds_areKnownToTheRegistryAlone enforces that.
// plain implements what most kinds have in common.
type kind interface {
	// name is the type's name in a schema, without the brackets of a list. lists reports whether lists of it are allowed.
	name() string
	lists() bool
	// check refuses flags that the kind can't have, and clears flags that have no meaning for it.
	check(f *Field) error
	// sorted is the default of the sort flag. sortable reports whether the flag is allowed.
	sorted(array bool) bool
	sortable(array bool) bool
	// detects reports whether an undeclared value is of this kind.
	detects(raw any) bool

	// Put: read converts what a document holds for a field, which for a list is all of it. If changed, the value was coerced, and stored is
	// to be stored instead.
	read(f *Field, raw any, dirty Dirty) (v Value, stored any, changed bool, err error)
	// one converts a single value and appends it to v, unless it does not fit. It returns the value to store.
	one(raw any, coerce bool, v *Value) (stored any, ok bool)
	// composite reports whether a single value is a JSON array.
	composite() bool
	// columns returns what the index stores of the values.
	columns(f *Field) Columns

	// Filter: filter parses the filter value after the field's name. over is called regularly, and may be nil.
	filter(f *Field, w Written, over func() error) (Condition, error)

	// Compare: order returns the sort key of a value, or false if there is none. byDistance reports whether values are places that are
	// compared by distance.
	order(f *Field, v Value) (Order, bool)
	byDistance() bool

	// Facet: counted reports whether values can be counted, and numeric whether they have a sum and ranges. texts appends values as a facet
	// shows them, shown returns them as the key of a group, and number parses what texts wrote.
	counted() bool
	numeric() bool
	texts(to []string, v Value) []string
	shown(v Value) []any
	number(text string) (float64, error)

	// Highlight: words reports whether words are searched and highlighted. nests reports whether the values are objects, whose members are
	// fields of their own and highlighted with them.
	words() bool
	nests() bool
}

// deriver is a kind without values of its own: a field with it takes another kind from the first value seen.
type deriver interface {
	kind
	derive(found kind, array bool) (kind, bool)
}

// Columns is what the index stores for a field.
type Columns struct {
	// Array reports that a document may have any number of values.
	Array, Words, Facet, Ints, Floats, Order bool
	// Dim is the number of dimensions of a vector.
	Dim int `json:",omitempty"`
}

// Any reports whether anything is stored.
func (c Columns) Any() bool { return c.Words || c.Facet || c.Ints || c.Floats || c.Order || c.Dim > 0 }

// Order is a sort key. Only one of the three is used.
type Order struct {
	Whole  int64
	Number float64
	Text   string
}

// plain is a kind that is only stored. Other kinds embed it and override what they add.
type plain struct{}

func (plain) lists() bool                            { return true }
func (plain) sorted(bool) bool                       { return false }
func (plain) sortable(array bool) bool               { return !array }
func (plain) detects(any) bool                       { return false }
func (plain) one(any, bool, *Value) (any, bool)      { return nil, false }
func (plain) composite() bool                        { return false }
func (plain) columns(f *Field) Columns               { return Columns{Array: f.Array} }
func (plain) order(*Field, Value) (o Order, ok bool) { return o, false }
func (plain) byDistance() bool                       { return false }
func (plain) counted() bool                          { return false }
func (plain) numeric() bool                          { return false }
func (plain) texts(to []string, _ Value) []string    { return to }
func (plain) shown(Value) []any                      { return nil }
func (plain) number(string) (float64, error)         { return 0, errNumber }
func (plain) words() bool                            { return false }
func (plain) nests() bool                            { return false }
func (plain) check(f *Field) error {
	if f.Stem {
		return refuse("The `stem` property is only allowed for string and string[] fields.")
	}
	return nil
}

func (plain) filter(f *Field, _ Written, _ func() error) (Condition, error) {
	return nil, refuse("Error with filter field `%s`: Unidentified field data type, see docs for supported data types.", f.Name)
}

var errNumber = refuse("The value is not a number.")

// readValues implements read for kinds whose values one converts. A JSON array is a list of values.
func readValues(k kind, article string, f *Field, raw any, dirty Dirty) (v Value, stored any, changed bool, err error) {
	coerce := dirty == CoerceOrReject || dirty == CoerceOrDrop
	if !f.Array {
		c, ok := k.one(raw, coerce, &v)
		if !ok {
			return Value{}, nil, false, refuse("Field `%s` must be %s.", f.Name, article)
		}
		return v, c, coerce && c != raw, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return Value{}, nil, false, refuse("Field `%s` must be an array.", f.Name)
	}
	out := make([]any, 0, len(list))
	for _, item := range list {
		before := v
		c, ok := k.one(item, coerce, &v)
		if !ok {
			if dirty == Drop || dirty == CoerceOrDrop {
				v, changed = before, true
				continue
			}
			return Value{}, nil, false, refuse("Field `%s` must be an array of %s.", f.Name, k.name())
		}
		if coerce && !same(c, item) {
			changed = true
		}
		out = append(out, c)
	}
	return v, out, changed, nil
}

// readWhole implements read for kinds without coercion. If a value of a list does not fit, the list is refused.
func readWhole(k kind, article string, f *Field, raw any) (v Value, err error) {
	list := []any{raw}
	if f.Array {
		var ok bool
		if list, ok = raw.([]any); !ok {
			return v, refuse("Field `%s` must be an array of %s.", f.Name, k.name())
		}
	}
	for _, item := range list {
		if _, ok := k.one(item, false, &v); !ok {
			if f.Array {
				return Value{}, refuse("Field `%s` must be an array of %s.", f.Name, k.name())
			}
			return Value{}, refuse("Field `%s` must be %s.", f.Name, article)
		}
	}
	return v, nil
}

// single reports whether raw is a JSON scalar other than null.
func single(raw any) bool {
	switch raw.(type) {
	case string, json.Number, bool:
		return true
	}
	return false
}

// anys returns values as the key of a group.
func anys[T any](values []T) (list []any) {
	for _, v := range values {
		list = append(list, v)
	}
	return list
}
