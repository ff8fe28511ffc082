// Package schema holds what a collection says about its documents: the fields with their types and flags, the checks of
// a schema, and the way from a JSON document to typed values.
package schema

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Field is one field of a schema.
type Field struct {
	Name string
	// Array says that the type is a list.
	Array bool
	// Facet, Optional, Index and Sort are the flags of the same name.
	Facet, Optional, Index, Sort bool
	// RangeIndex is a speed hint: kept and shown, without effect. Infix lets searches look inside words.
	RangeIndex, Infix bool
	// Hidden fields are not stored by Typesense (store: false): they are searched and never shown.
	Hidden bool
	// Stem reduces words to their stems, by the rules of the Locale, or by those of the dictionary called StemDictionary alone.
	Stem           bool
	StemDictionary string
	Locale         string
	// NumDim, Distance and HNSW describe a vector. HNSW is kept and shown: searches are exact.
	NumDim   int
	Distance string
	HNSW     json.RawMessage
	// Separators and Symbols are the field's own token_separators and symbols_to_index.
	Separators, Symbols []string

	kind     kind
	pattern  *regexp.Regexp
	analyzer *text.Analyzer
}

// Type is the field's type as Typesense writes it.
func (f *Field) Type() string {
	if f.Array {
		return f.kind.name() + "[]"
	}
	return f.kind.name()
}

// Text says that the field holds texts: their words are searched and highlighted.
func (f *Field) Text() bool { return f.kind.words() }

// Nests says that the field holds objects, whose members are fields of their own.
func (f *Field) Nests() bool { return f.kind.nests() }

// Numeric says that the values have a sum, ranges and a distance from each other.
func (f *Field) Numeric() bool { return f.kind.numeric() }

// Counted says that the field has values that a facet counts and groups have in common.
func (f *Field) Counted() bool { return f.kind.counted() }

// ByDistance says that documents are ordered by how far the field's places are from another.
func (f *Field) ByDistance() bool { return f.kind.byDistance() }

// Columns are what the index keeps of the field.
func (f *Field) Columns() Columns { return f.kind.columns(f) }

// Filter reads the value of a filter. over is asked now and then, since a list may have any length: its error ends the reading; nil is never asked.
func (f *Field) Filter(w Written, over func() error) (Condition, error) {
	return f.kind.filter(f, w, over)
}

// Order is a value as it is compared; false says that there is none.
func (f *Field) Order(v Value) (Order, bool) { return f.kind.order(f, v) }

// Texts appends values as a facet shows them.
func (f *Field) Texts(to []string, v Value) []string { return f.kind.texts(to, v) }

// Number reads a value that Texts wrote of a field that is Numeric.
func (f *Field) Number(text string) (float64, error) { return f.kind.number(text) }

// Shown is a value as the key of a group shows it: a list is one key.
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

// Pattern says that the field's name is a pattern from which fields are made.
func (f *Field) Pattern() bool { return f.pattern != nil }

// Analyzer is the field's text analyzer.
func (f *Field) Analyzer() *text.Analyzer { return f.analyzer }

// isPattern follows Typesense: a name with an asterisk is a regular expression.
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

// MarshalJSON writes the field with every default present, as Typesense does.
func (f *Field) MarshalJSON() ([]byte, error) {
	return json.Marshal(fieldJSON{
		Facet: f.Facet, Index: f.Index, Name: f.Name, Optional: f.Optional, RangeIndex: f.RangeIndex, Sort: f.Sort, Store: !f.Hidden,
		Symbols: f.Symbols, Separators: f.Separators, Type: f.Type(), Infix: f.Infix, Stem: f.Stem, StemDictionary: f.StemDictionary, Locale: f.Locale,
		NumDim: f.NumDim, Distance: f.Distance, HNSW: f.HNSW,
	})
}

// newAnalyzer makes the field's analyzer in a schema; a field's own characters replace those of the schema.
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
