package schema

import (
	"strconv"
	"strings"
)

// boolKind is a boolean, which is 1 or 0 in the index.
type boolKind struct{ plain }

func (boolKind) name() string             { return "bool" }
func (boolKind) sorted(array bool) bool   { return !array }
func (boolKind) counted() bool            { return true }
func (boolKind) columns(f *Field) Columns { return Columns{Array: f.Array, Ints: f.Index || f.Sort} }

func (boolKind) order(_ *Field, v Value) (o Order, ok bool) { return wholeOrder(v) }

func (boolKind) check(f *Field) error {
	if err := noRangeIndex(f); err != nil {
		return err
	}
	return plain{}.check(f)
}

func (boolKind) detects(raw any) bool {
	_, ok := raw.(bool)
	return ok
}

func (boolKind) texts(to []string, v Value) []string {
	for _, n := range v.Ints {
		to = append(to, strconv.FormatBool(n == 1))
	}
	return to
}

func (boolKind) shown(v Value) (list []any) {
	for _, n := range v.Ints {
		list = append(list, n == 1)
	}
	return list
}

func (k boolKind) read(f *Field, raw any, dirty Dirty) (Value, any, bool, error) {
	return readValues(k, "a bool", f, raw, dirty)
}

func (boolKind) one(raw any, coerce bool, v *Value) (any, bool) {
	if !single(raw) {
		return nil, false
	}
	b, ok := asBool(raw, coerce)
	n := int64(0)
	if b {
		n = 1
	}
	v.Ints = append(v.Ints, n)
	return b, ok
}

func asBool(raw any, coerce bool) (bool, bool) {
	if b, ok := raw.(bool); ok {
		return b, true
	}
	if !coerce {
		return false, false
	}
	switch strings.ToLower(scalarText(raw)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

func (boolKind) filter(f *Field, w Written, _ func() error) (Condition, error) {
	wrong := refuse("Value of filter field `%s` must be `true` or `false`.", f.Name)
	if w.Negate && !w.Exact || w.Broken || len(w.Items) == 0 {
		return nil, wrong
	}
	var want Wholes
	for _, it := range w.Items {
		n := int64(0)
		switch it.Text {
		case "true":
			n = 1
		case "false":
		default:
			return nil, wrong
		}
		want = append(want, Range[int64]{n, n})
	}
	return want, nil
}
