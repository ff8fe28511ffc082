package schema

// autoKind takes the kind of the first value seen. anyKind converts every value to a text.
type (
	autoKind struct{ unseen }
	anyKind  struct{ unseen }
)

// unseen is the base of kinds that are replaced when a value is seen.
type unseen struct{ plain }

func (unseen) lists() bool { return false }

// check accepts every flag, because the flags apply to the fields that are created.
func (unseen) check(*Field) error { return nil }

func (unseen) read(f *Field, _ any, _ Dirty) (Value, any, bool, error) {
	return Value{}, nil, false, refuse("Field `%s` has no type yet.", f.Name)
}

func (autoKind) name() string { return "auto" }

func (autoKind) check(f *Field) error {
	if f.Name == ".*" && f.Facet {
		return refuse("Field `.*` cannot be a facet field.")
	}
	return nil
}

func (autoKind) derive(found kind, array bool) (kind, bool) { return found, array }

func (anyKind) name() string { return "string*" }

func (anyKind) derive(_ kind, array bool) (kind, bool) { return textKind{}, array }
