package schema

import "encoding/json"

// kind is a type of fields: what is a value of it, and what is done with its values. Each is a type of Go in a file of its own (kind_*.go) and a line in kinds.
// Nobody else knows which there are: the other packages ask a Field, and TestKinds_areKnownToTheRegistryAlone keeps it so. What most kinds have in common is in plain.
type kind interface {
	// name is the type as a schema writes it, without the brackets of a list; lists says that there is one with them.
	name() string
	lists() bool
	// check refuses flags that the kind can't have, and takes away such as mean nothing to it.
	check(f *Field) error
	// sorted says that fields are sorted by if the schema does not say it, sortable that they may be.
	sorted(array bool) bool
	sortable(array bool) bool
	// detects says that a value that no field declares is of this kind.
	detects(raw any) bool

	// Put: read types what a document holds for a field, all of a list. stored is the value to store when changed says that it was coerced.
	read(f *Field, raw any, dirty Dirty) (v Value, stored any, changed bool, err error)
	// one types a single value and appends it to v, or nothing of one that does not fit. It returns the value to store.
	one(raw any, coerce bool, v *Value) (stored any, ok bool)
	// composite says that a single value is a list of JSON.
	composite() bool
	// columns are what the index keeps of the values.
	columns(f *Field) Columns

	// Filter: filter reads what is written after the field's name. over is asked now and then, and may be nil.
	filter(f *Field, w Written, over func() error) (Condition, error)

	// Compare: order is a value as it is compared; false says that there is none. byDistance says that places are compared, by how far they are.
	order(f *Field, v Value) (Order, bool)
	byDistance() bool

	// Facet: counted says that there are values to count, numeric that they have a sum and ranges. texts appends them as a facet shows them, shown returns them as the key of a group
	// does, and number reads what texts wrote.
	counted() bool
	numeric() bool
	texts(to []string, v Value) []string
	shown(v Value) []any
	number(text string) (float64, error)

	// Highlight: words says that words are searched and highlighted, nests that the values are objects, whose members are fields of their own and highlighted with them.
	words() bool
	nests() bool
}

// deriver is a kind that belongs to names and has no values: the field takes another kind from the first value seen.
type deriver interface {
	kind
	derive(found kind, array bool) (kind, bool)
}

// Columns are what the index keeps of a field.
type Columns struct {
	// Array says that a document has any number of values.
	Array, Words, Facet, Ints, Floats, Order bool
	// Dim is the number of numbers in a vector.
	Dim int `json:",omitempty"`
}

// Any says that something is kept.
func (c Columns) Any() bool { return c.Words || c.Facet || c.Ints || c.Floats || c.Order || c.Dim > 0 }

// Order is a value as it is compared: by one of the three.
type Order struct {
	Whole  int64
	Number float64
	Text   string
}

// plain is a kind that is stored alone: others say what they have more.
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

var errNumber = refuse("The value is no number.")

// readValues is read for kinds whose values one types: what is a list in JSON is one of values.
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

// readWhole is read for kinds whose values fit as they are or not at all: those of a list all.
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

// single says that raw is one value of JSON.
func single(raw any) bool {
	switch raw.(type) {
	case string, json.Number, bool:
		return true
	}
	return false
}

// anys are values as the key of a group shows them.
func anys[T any](values []T) (list []any) {
	for _, v := range values {
		list = append(list, v)
	}
	return list
}
