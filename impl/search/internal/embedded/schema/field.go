// Package schema holds what a collection says about its documents: the fields with their types and flags, the checks of
// a schema, and the way from a JSON document to typed values.
package schema

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Kind is the type of a field's values.
type Kind uint8

// The kinds. Auto and Any belong to name patterns only: the type comes from the first value seen.
const (
	String Kind = iota + 1
	Int32
	Int64
	Float
	Bool
	Auto
	Any // string*: every value becomes a string
	// GeoPoint is indexed by its places, GeoPolygon by its corners, and Image is stored alone; the fields of an Object are fields of their own, named by their path.
	GeoPoint
	GeoPolygon
	Image
	Object
)

// Field is one field of a schema.
type Field struct {
	Name  string
	Kind  Kind
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

	pattern  *regexp.Regexp
	analyzer *text.Analyzer
}

var typeNames = map[string]struct {
	kind  Kind
	array bool
}{
	"string": {String, false}, "string[]": {String, true},
	"int32": {Int32, false}, "int32[]": {Int32, true},
	"int64": {Int64, false}, "int64[]": {Int64, true},
	"float": {Float, false}, "float[]": {Float, true},
	"bool": {Bool, false}, "bool[]": {Bool, true},
	"auto": {Auto, false}, "string*": {Any, false},
	"geopoint": {GeoPoint, false}, "geopoint[]": {GeoPoint, true}, "geopolygon": {GeoPolygon, false},
	"object": {Object, false}, "object[]": {Object, true},
	"image": {Image, false},
}

var kindNames = map[Kind]string{String: "string", Int32: "int32", Int64: "int64", Float: "float", Bool: "bool", Auto: "auto", Any: "string*",
	GeoPoint: "geopoint", GeoPolygon: "geopolygon", Image: "image", Object: "object"}

// Type is the field's type as Typesense writes it.
func (f *Field) Type() string {
	if f.Array {
		return kindNames[f.Kind] + "[]"
	}
	return kindNames[f.Kind]
}

// Text says that the field holds strings.
func (f *Field) Text() bool { return f.Kind == String }

// Integer says that the field holds whole numbers.
func (f *Field) Integer() bool { return f.Kind == Int32 || f.Kind == Int64 }

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

// Geo says that the field holds places or polygons.
func (f *Field) Geo() bool { return f.Kind == GeoPoint || f.Kind == GeoPolygon }

// Indexed says that the index holds the field's values as words, numbers or facets. Places (Places) and vectors are there beside them.
func (f *Field) Indexed() bool {
	return !f.Geo() && f.Kind != Image && f.Kind != Object && f.NumDim == 0
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
