package schema

import (
	"slices"
	"strings"
)

// textKind is a text whose words are searched.
type textKind struct{ plain }

func (textKind) name() string        { return "string" }
func (textKind) words() bool         { return true }
func (textKind) counted() bool       { return true }
func (textKind) shown(v Value) []any { return anys(v.Strings) }

func (textKind) texts(to []string, v Value) []string { return append(to, v.Strings...) }

func (textKind) detects(raw any) bool {
	_, ok := raw.(string)
	return ok
}

func (textKind) check(f *Field) error {
	if !f.Index && !f.Optional {
		return refuse("Field `%s` must be optional since it is marked as non-indexable.", f.Name)
	}
	return noRangeIndex(f)
}

func (k textKind) read(f *Field, raw any, dirty Dirty) (Value, any, bool, error) {
	return readValues(k, "a string", f, raw, dirty)
}

func (textKind) one(raw any, coerce bool, v *Value) (any, bool) {
	if !single(raw) {
		return nil, false
	}
	s, ok := raw.(string)
	if !ok && coerce {
		s, ok = scalarText(raw), true
	}
	v.Strings = append(v.Strings, s)
	return s, ok
}

func (textKind) columns(f *Field) Columns {
	return Columns{Array: f.Array, Words: f.Index, Facet: f.Index && f.Facet, Order: f.Sort}
}

// order sorts by words, ignoring case and accents.
func (textKind) order(f *Field, v Value) (o Order, ok bool) {
	if len(v.Strings) == 0 || v.Strings[0] == "" {
		return o, false
	}
	o.Text = strings.Join(f.Analyzer().Words(v.Strings[0]), " ")
	return o, true
}

// itemsBetween is how many items are split into words between two calls of over.
const itemsBetween = 256

func (textKind) filter(f *Field, w Written, over func() error) (Condition, error) {
	if w.Broken {
		return nil, errSyntax
	}
	empty := refuse("Error with filter field `%s`: Filter value cannot be empty.", f.Name)
	var want AnyWords
	for i, it := range w.Items {
		if over != nil && i%itemsBetween == itemsBetween-1 {
			if err := over(); err != nil {
				return nil, err
			}
		}
		one := Words{Text: it.Text, Exact: w.Exact}
		if !it.Literal && strings.HasSuffix(it.Text, "*") {
			one.Prefix, one.Text = true, strings.TrimSuffix(it.Text, "*")
		}
		if one.Text == "" {
			return nil, empty
		}
		one.List = f.Analyzer().Words(one.Text)
		want = append(want, one)
	}
	if len(want) == 0 {
		return nil, empty
	}
	return want, nil
}

// AnyWords requires a text that matches one of the alternatives. The index evaluates it by words.
type AnyWords []Words

// Words is a condition on a string.
type Words struct {
	// Text is the value as written, which is compared with IDs. List holds its normalised words.
	Text string
	List []string
	// Exact requires the whole value to match; otherwise all words must occur in it. Prefix lets the last word be a prefix.
	Exact, Prefix bool
}

// Meets implements Condition.
func (a AnyWords) Meets(f *Field, v Value) bool {
	return slices.ContainsFunc(v.Strings, func(s string) bool {
		have := f.Analyzer().Words(s)
		return slices.ContainsFunc(a, func(w Words) bool { return w.fits(have) })
	})
}

// fits reports whether the words of one value match.
func (w Words) fits(have []string) bool {
	if len(w.List) == 0 {
		return false
	}
	same := func(have, wanted string, last bool) bool {
		return have == wanted || last && w.Prefix && strings.HasPrefix(have, wanted)
	}
	if w.Exact {
		if len(have) < len(w.List) || len(have) > len(w.List) && !w.Prefix {
			return false
		}
		for i, wanted := range w.List {
			if !same(have[i], wanted, i == len(w.List)-1) {
				return false
			}
		}
		return true
	}
	for i, wanted := range w.List {
		if !slices.ContainsFunc(have, func(h string) bool { return same(h, wanted, i == len(w.List)-1) }) {
			return false
		}
	}
	return true
}
