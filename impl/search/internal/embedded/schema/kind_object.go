package schema

// objectKind is an object, whose members are fields of their own, named by their path.
type objectKind struct{ plain }

func (objectKind) name() string { return "object" }
func (objectKind) nests() bool  { return true }

func (objectKind) detects(raw any) bool {
	_, ok := raw.(map[string]any)
	return ok
}

func (k objectKind) read(f *Field, raw any, _ Dirty) (Value, any, bool, error) {
	v, err := readWhole(k, "an object", f, raw)
	return v, nil, false, err
}

func (objectKind) one(raw any, _ bool, _ *Value) (any, bool) {
	_, ok := raw.(map[string]any)
	return raw, ok
}
