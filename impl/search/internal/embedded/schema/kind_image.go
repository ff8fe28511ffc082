package schema

// imageKind is an image, which is only stored.
type imageKind struct{ plain }

func (imageKind) name() string { return "image" }
func (imageKind) lists() bool  { return false }

func (k imageKind) read(f *Field, raw any, _ Dirty) (Value, any, bool, error) {
	v, err := readWhole(k, "a string", f, raw)
	return v, nil, false, err
}

func (imageKind) one(raw any, _ bool, _ *Value) (any, bool) {
	_, ok := raw.(string)
	return raw, ok
}
