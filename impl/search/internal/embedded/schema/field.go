// Package schema defines the schema of a collection: the fields with their types and flags, the validation of a schema, and the conversion
// of a JSON document to typed values.
package schema

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Field is a field of a schema.
type Field struct {
	Name string
	// Array reports that the type is a list.
	Array bool
	// Facet, Optional, Index and Sort are the flags of the same name.
	Facet, Optional, Index, Sort bool
	// RangeIndex is a performance hint: it is stored and shown, but has no effect. Infix enables searches inside words.
	RangeIndex, Infix bool
	// Hidden fields are those with store: false, which Typesense does not store. They are searched and never shown.
	Hidden bool
	// Stem reduces words to their stems by the rules of Locale. With StemDictionary, only that dictionary is used.
	Stem           bool
	StemDictionary string
	Locale         string
	// NumDim, Distance and HNSW describe a vector. HNSW is stored and shown only, because searches are exact.
	NumDim   int
	Distance string
	HNSW     json.RawMessage
	// Separators and Symbols are the field's own token_separators and symbols_to_index.
	Separators, Symbols []string

	kind     kind
	pattern  *regexp.Regexp
	analyzer *text.Analyzer
}

// Type returns the field's type in Typesense's notation.
func (f *Field) Type() string {
	if f.Array {
		return f.kind.name() + "[]"
	}
	return f.kind.name()
}

// Text reports whether the field holds texts, whose words are searched and highlighted.
func (f *Field) Text() bool { return f.kind.words() }

// Nests reports whether the field holds objects, whose members are fields of their own.
func (f *Field) Nests() bool { return f.kind.nests() }

// Numeric reports whether the values have a sum, ranges and distances.
func (f *Field) Numeric() bool { return f.kind.numeric() }

// Counted reports whether the field can be used for facets and groups.
func (f *Field) Counted() bool { return f.kind.counted() }

// ByDistance reports whether documents are sorted by the distance of the field's places from another place.
func (f *Field) ByDistance() bool { return f.kind.byDistance() }

// Columns returns what the index stores for the field.
func (f *Field) Columns() Columns { return f.kind.columns(f) }

// Filter parses the value of a filter. over, unless nil, is called regularly, because a list may have any length. If it returns an error,
// parsing ends with that error.
func (f *Field) Filter(w Written, over func() error) (Condition, error) {
	return f.kind.filter(f, w, over)
}

// Order returns the sort key of a value, or false if there is none.
func (f *Field) Order(v Value) (Order, bool) { return f.kind.order(f, v) }

// Texts appends values as a facet shows them.
func (f *Field) Texts(to []string, v Value) []string { return f.kind.texts(to, v) }

// Number parses a value that Texts wrote for a Numeric field.
func (f *Field) Number(text string) (float64, error) { return f.kind.number(text) }

// Shown returns a value as the key of a group. A list is a single key.
func (f *Field) Shown(v Value) any {
	list := f.kind.shown(v)
	switch {
	case f.Array && list == nil:
		return []any{}
	case f.Array:
		return list
	}
	return list[0]
}

// Pattern reports whether the field's name is a pattern from which fields are created.
func (f *Field) Pattern() bool { return f.pattern != nil }

// Analyzer returns the field's text analyzer.
func (f *Field) Analyzer() *text.Analyzer { return f.analyzer }

// isPattern reports whether a name is a pattern. As in Typesense, a name with an asterisk is a regular expression.
func isPattern(name string) bool { return strings.Contains(name, "*") }

type fieldJSON struct {
	Facet          bool            `json:"facet"`
	HNSW           json.RawMessage `json:"hnsw_params,omitempty"`
	Index          bool            `json:"index"`
	Infix          bool            `json:"infix"`
	Locale         string          `json:"locale"`
	Name           string          `json:"name"`
	NumDim         int             `json:"num_dim,omitempty"`
	Optional       bool            `json:"optional"`
	RangeIndex     bool            `json:"range_index,omitempty"`
	Sort           bool            `json:"sort"`
	Stem           bool            `json:"stem"`
	StemDictionary string          `json:"stem_dictionary"`
	Store          bool            `json:"store"`
	Symbols        []string        `json:"symbols_to_index,omitempty"`
	Separators     []string        `json:"token_separators,omitempty"`
	Type           string          `json:"type"`
	Distance       string          `json:"vec_dist,omitempty"`
}

// MarshalJSON encodes the field with every default, as Typesense does.
func (f *Field) MarshalJSON() ([]byte, error) {
	return json.Marshal(fieldJSON{
		Facet: f.Facet, Index: f.Index, Name: f.Name, Optional: f.Optional, RangeIndex: f.RangeIndex, Sort: f.Sort, Store: !f.Hidden,
		Symbols: f.Symbols, Separators: f.Separators, Type: f.Type(), Infix: f.Infix, Stem: f.Stem, StemDictionary: f.StemDictionary, Locale: f.Locale,
		NumDim: f.NumDim, Distance: f.Distance, HNSW: f.HNSW,
	})
}

// newAnalyzer returns the analyzer of the field in a schema. Separators and symbols of the field replace those of the schema.
func (f *Field) newAnalyzer(s *Schema) *text.Analyzer {
	separators, symbols := s.Separators, s.Symbols
	if len(f.Separators) > 0 {
		separators = f.Separators
	}
	if len(f.Symbols) > 0 {
		symbols = f.Symbols
	}
	return text.For(text.Rules{Separators: separators, Symbols: symbols, Locale: f.Locale, Stem: f.Stem, Dictionary: s.dictionary(f.StemDictionary)})
}
