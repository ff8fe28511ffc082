package schema

// vectorKind is a list of floats of fixed length that is measured as a whole: a list of floats with num_dim.
type vectorKind struct{ floatKind }

// vectorOf returns the vector kind for fields that are lists of k.
func vectorOf(k kind, array bool) (kind, bool) {
	_, floats := k.(floatKind)
	return vectorKind{}, floats && array
}

func (vectorKind) sorted(bool) bool { return false }
func (vectorKind) counted() bool    { return false }
func (vectorKind) numeric() bool    { return false }

func (vectorKind) detects(any) bool { return false }

func (vectorKind) texts(to []string, _ Value) []string { return to }

func (vectorKind) shown(Value) []any { return nil }

func (vectorKind) order(*Field, Value) (o Order, ok bool) { return o, false }

func (vectorKind) columns(f *Field) Columns {
	if !f.Index {
		return Columns{}
	}
	return Columns{Array: f.Array, Dim: f.NumDim}
}

// read requires exactly as many numbers as the field has dimensions, even if one was dropped.
func (k vectorKind) read(f *Field, raw any, dirty Dirty) (Value, any, bool, error) {
	v, stored, changed, err := readValues(k, "a float", f, raw, dirty)
	if list, _ := stored.([]any); err == nil && len(list) != f.NumDim {
		return Value{}, nil, false, refuse("Field `%s` must have %d dimensions.", f.Name, f.NumDim)
	}
	return v, stored, changed, err
}

// one keeps numbers beyond 32 bits infinite. A vector with such numbers has no distance.
func (vectorKind) one(raw any, coerce bool, v *Value) (any, bool) {
	if !single(raw) {
		return nil, false
	}
	n, stored, ok := asFloat(raw, coerce)
	v.Floats = append(v.Floats, n)
	return stored, ok
}

func (vectorKind) filter(*Field, Written, func() error) (Condition, error) {
	return nil, Unsupported("filter_by: a vector")
}
