package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Error is a refusal of a schema, document or parameter. Text is for the caller and contains none of the caller's values.
type Error struct {
	Status int
	Text   string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

func refuse(format string, args ...any) *Error { return &Error{400, fmt.Sprintf(format, args...)} }

// Unsupported returns the error for a feature of Typesense that the embedded engine does not have.
func Unsupported(name string) *Error {
	return &Error{422, "`" + name + "` is not supported by the embedded engine."}
}

// Schema is a collection's definition. It is changed by copying (see Extend); a Schema in use is immutable.
type Schema struct {
	Name                string
	Fields              []*Field
	DefaultSortingField string
	Separators, Symbols []string
	Metadata            json.RawMessage
	// Nested is enable_nested_fields: objects are accepted, and their values are fields named by their path.
	Nested bool
	// SynonymSets and CurationSets are the names of the sets that the collection uses.
	SynonymSets, CurationSets []string
	// CreatedAt is in Unix seconds.
	CreatedAt int64

	byName       map[string]*Field
	dictionaries Dictionaries
}

// Field returns the field with exactly this name. Patterns are not found.
func (s *Schema) Field(name string) (*Field, bool) {
	f, ok := s.byName[name]
	return f, ok
}

// Patterned reports whether the schema creates fields from documents.
func (s *Schema) Patterned() bool {
	return slices.ContainsFunc(s.Fields, (*Field).Pattern)
}

// HiddenFields returns the names of the fields that are searched but not shown.
func (s *Schema) HiddenFields() (names []string) {
	for _, f := range s.Fields {
		if f.Hidden {
			names = append(names, f.Name)
		}
	}
	return names
}

// Renamed returns a copy for a collection with another name.
func (s *Schema) Renamed(name string) (*Schema, error) {
	c := *s
	c.Name = name
	body, err := c.Render(-1)
	if err != nil {
		return nil, err
	}
	return Load(body)
}

type schemaJSON struct {
	CreatedAt           int64           `json:"created_at"`
	DefaultSortingField string          `json:"default_sorting_field"`
	EnableNestedFields  bool            `json:"enable_nested_fields"`
	Fields              []*Field        `json:"fields"`
	Metadata            json.RawMessage `json:"metadata,omitempty"`
	Name                string          `json:"name"`
	NumDocuments        *int            `json:"num_documents,omitempty"`
	CurationSets        []string        `json:"curation_sets,omitempty"`
	Symbols             []string        `json:"symbols_to_index"`
	SynonymSets         []string        `json:"synonym_sets,omitempty"`
	Separators          []string        `json:"token_separators"`
}

// Render encodes the collection in Typesense's format. documents is the number of documents; a negative number omits it, which is the
// stored form.
func (s *Schema) Render(documents int) ([]byte, error) {
	fields := s.Fields
	if len(fields) == 0 {
		fields = nil // Typesense renders an empty list as null
	}
	out := schemaJSON{
		CreatedAt: s.CreatedAt, EnableNestedFields: s.Nested, DefaultSortingField: s.DefaultSortingField, Fields: fields, Metadata: s.Metadata,
		Name: s.Name, SynonymSets: s.SynonymSets, CurationSets: s.CurationSets, Symbols: nonNil(s.Symbols), Separators: nonNil(s.Separators),
	}
	if documents >= 0 {
		out.NumDocuments = &documents
	}
	return json.Marshal(out)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Parse parses and validates the body of POST /collections. maxFields limits the number of fields.
func Parse(body []byte, maxFields int) (*Schema, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, refuse("Parameter `name` is required.")
		}
		return nil, refuse("Bad JSON.")
	}
	s := &Schema{}
	if err := s.head(raw); err != nil {
		return nil, err
	}
	if err := s.fields(raw["fields"], maxFields); err != nil {
		return nil, err
	}
	return s, s.finish()
}

// Load parses a schema that Render wrote.
func Load(body []byte) (*Schema, error) {
	s, err := Parse(body, math.MaxInt32)
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	var head struct {
		CreatedAt int64 `json:"created_at"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	s.CreatedAt = head.CreatedAt
	return s, nil
}

func (s *Schema) head(raw map[string]json.RawMessage) error {
	name, ok := raw["name"]
	if !ok {
		return refuse("Parameter `name` is required.")
	}
	if json.Unmarshal(name, &s.Name) != nil || s.Name == "" {
		return refuse("Parameter `name` must be a non-empty string.")
	}
	if len(s.Name) > 255 || !utf8.ValidString(s.Name) {
		return refuse("Parameter `name` must be a non-empty string of at most 255 bytes.")
	}
	if v, ok := raw["enable_nested_fields"]; ok {
		if json.Unmarshal(v, &s.Nested) != nil {
			return refuse("`enable_nested_fields` should be a boolean.")
		}
	}
	if v, ok := raw["voice_query_model"]; ok && !bytes.Equal(v, []byte("null")) {
		return Unsupported("voice_query_model")
	}
	if err := s.sets(raw); err != nil {
		return err
	}
	var err error
	if s.Separators, err = characters(raw["token_separators"], "token_separators"); err != nil {
		return err
	}
	if s.Symbols, err = characters(raw["symbols_to_index"], "symbols_to_index"); err != nil {
		return err
	}
	if v, ok := raw["default_sorting_field"]; ok && json.Unmarshal(v, &s.DefaultSortingField) != nil {
		return refuse("`default_sorting_field` should be a string.")
	}
	if v, ok := raw["metadata"]; ok {
		var object map[string]json.RawMessage
		if json.Unmarshal(v, &object) != nil {
			return refuse("The `metadata` value should be an object.")
		}
		s.Metadata = v
	}
	_, ok = raw["fields"]
	if !ok {
		return refuse("Parameter `fields` is required.")
	}
	return nil
}

// sets parses the names of sets, if present.
func (s *Schema) sets(raw map[string]json.RawMessage) error {
	for name, into := range map[string]*[]string{"synonym_sets": &s.SynonymSets, "curation_sets": &s.CurationSets} {
		if v, ok := raw[name]; ok && json.Unmarshal(v, into) != nil {
			return refuse("The `%s` value should be an array of strings.", name)
		}
	}
	return nil
}

func characters(v json.RawMessage, name string) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	var list []string
	if json.Unmarshal(v, &list) != nil {
		return nil, refuse("`%s` should be an array of character symbols.", name)
	}
	for _, c := range list {
		if utf8.RuneCountInString(c) != 1 {
			return nil, refuse("`%s` should be an array of character symbols.", name)
		}
	}
	return list, nil
}

func (s *Schema) fields(v json.RawMessage, max int) error {
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil {
		return refuse("The `fields` value should be an array of objects containing `name`, `type` and optionally, `facet` properties.")
	}
	if len(list) > max {
		return &Error{422, fmt.Sprintf("A collection of the embedded engine holds at most %d fields.", max)}
	}
	for _, item := range list {
		var raw map[string]json.RawMessage
		if json.Unmarshal(item, &raw) != nil {
			return refuse("Bad request.")
		}
		f, err := parseField(raw)
		if err != nil {
			return err
		}
		if f.Name == "id" { // the ID is implied
			continue
		}
		if f.Nests() && !s.Nested {
			return errNested
		}
		s.Fields = append(s.Fields, f)
	}
	return nil
}

var errNested = refuse("Type `object` or `object[]` can be used only when nested fields are enabled by setting` enable_nested_fields` to true.")

func parseField(raw map[string]json.RawMessage) (*Field, error) {
	f := &Field{Index: true}
	var typ string
	if raw["name"] == nil || raw["type"] == nil || json.Unmarshal(raw["name"], &f.Name) != nil || json.Unmarshal(raw["type"], &typ) != nil {
		return nil, refuse("Bad request.")
	}
	if f.Name == "" {
		return nil, refuse("Default sorting field `` is not a sortable type.")
	}
	if len(f.Name) > 512 {
		return nil, refuse("Bad request.")
	}
	var ok bool
	if f.kind, f.Array, ok = kindCalled(typ); !ok {
		return nil, refuse("Field `%s` has an invalid data type `%s`, see docs for supported data types.", f.Name, typ)
	}
	f.Sort = f.kind.sorted(f.Array)
	f.Optional = f.derives()
	if err := f.flags(raw); err != nil {
		return nil, err
	}
	return f, f.check()
}

// UnsupportedFlags returns the names of the flags of a field that are refused.
func UnsupportedFlags() []string { return slices.Clone(unsupportedFlags) }

// unsupportedFlags are the flags of a field that are refused if set, because without them the documents would have another meaning.
var unsupportedFlags = []string{"reference", "async_reference", "embed"}

func (f *Field) flags(raw map[string]json.RawMessage) error {
	for _, name := range unsupportedFlags {
		if v := string(bytes.TrimSpace(raw[name])); v != "" && v != "false" && v != `""` && v != "null" {
			return Unsupported(name)
		}
	}
	store := true
	for name, into := range map[string]*bool{
		"facet": &f.Facet, "optional": &f.Optional, "index": &f.Index, "sort": &f.Sort, "range_index": &f.RangeIndex, "store": &store, "infix": &f.Infix, "stem": &f.Stem,
	} {
		v, ok := raw[name]
		if ok && json.Unmarshal(v, into) != nil {
			return refuse("The `%s` property of the field `%s` should be a boolean.", name, f.Name)
		}
	}
	f.Hidden = !store
	if v, ok := raw["locale"]; ok && json.Unmarshal(v, &f.Locale) != nil {
		return refuse("The `locale` property of the field `%s` should be a string.", f.Name)
	}
	if v, ok := raw["stem_dictionary"]; ok && json.Unmarshal(v, &f.StemDictionary) != nil {
		return refuse("The `stem_dictionary` property of the field `%s` should be a string.", f.Name)
	}
	f.Stem = f.Stem || f.StemDictionary != "" // as documented
	if err := f.vector(raw); err != nil {
		return err
	}
	var err error
	if f.Separators, err = characters(raw["token_separators"], "token_separators"); err != nil {
		return err
	}
	f.Symbols, err = characters(raw["symbols_to_index"], "symbols_to_index")
	return err
}

// vector parses the properties of a vector.
func (f *Field) vector(raw map[string]json.RawMessage) error {
	if v, ok := raw["num_dim"]; ok && (json.Unmarshal(v, &f.NumDim) != nil || f.NumDim < 0) {
		return refuse("Property `num_dim` must be a positive integer.")
	}
	if v, ok := raw["vec_dist"]; ok && json.Unmarshal(v, &f.Distance) != nil || f.Distance != "" && f.Distance != "cosine" && f.Distance != "ip" {
		return refuse("Property `vec_dist` is invalid.")
	}
	if f.NumDim == 0 {
		f.Distance = ""
		return nil
	}
	var ok bool
	if f.kind, ok = vectorOf(f.kind, f.Array); !ok {
		return refuse("Property `num_dim` is only allowed on a float array field.")
	}
	if f.Distance == "" {
		f.Distance = "cosine"
	}
	f.HNSW = json.RawMessage(`{"M":16,"ef_construction":200}`) // the documented defaults
	if v, ok := raw["hnsw_params"]; ok && len(v) < 200 {
		f.HNSW = v
	}
	return nil
}

// derives reports whether fields are created from this one, because its name is a pattern or its kind is that of the first value seen.
func (f *Field) derives() bool {
	_, unseen := f.kind.(deriver)
	return unseen || isPattern(f.Name)
}

func (f *Field) check() error {
	switch {
	case f.Name == ".*" && !f.Index:
		return refuse("Field `.*` must be an index field.")
	case isPattern(f.Name) && !f.Optional:
		return refuse("Field `%s` must be an optional field.", f.Name)
	case f.Facet && !f.Index:
		return refuse("Field `%s` cannot be a facet since it's marked as non-indexable.", f.Name)
	}
	if err := f.kind.check(f); err != nil {
		return err
	}
	f.Sort = f.Sort && f.kind.sortable(f.Array)
	if f.derives() {
		re, err := regexp.Compile("^(?:" + f.Name + ")$")
		if err != nil || len(f.Name) > 128 {
			return refuse("Field `%s` is not a valid name pattern.", f.Name)
		}
		f.pattern = re
	}
	return nil
}

// finish validates the fields against each other and prepares them for searches.
func (s *Schema) finish() error {
	s.byName = make(map[string]*Field, len(s.Fields))
	fallbacks, seen := 0, make(map[string]bool, len(s.Fields))
	for _, f := range s.Fields {
		if f.Name == ".*" {
			if fallbacks++; fallbacks > 1 {
				return refuse("There can be only one field named `.*`.")
			}
		}
		if seen[f.Name] {
			return refuse("There are duplicate field names in the schema.")
		}
		seen[f.Name] = true
		s.adopt(f)
	}
	if s.DefaultSortingField == "" {
		return nil
	}
	f, ok := s.byName[s.DefaultSortingField]
	switch {
	case !ok:
		return refuse("Default sorting field is defined as `%s` but is not found in the schema.", s.DefaultSortingField)
	case f.Optional:
		return refuse("Default sorting field `%s` cannot be an optional field.", f.Name)
	case !f.Sort:
		return refuse("Default sorting field `%s` is not a sortable type.", f.Name)
	}
	return nil
}

func (s *Schema) adopt(f *Field) {
	if f.Pattern() {
		return
	}
	if f.analyzer == nil { // otherwise the field is in use
		f.analyzer = f.newAnalyzer(s)
	}
	s.byName[f.Name] = f
}

// Extend returns a copy of the schema with additional fields. The two schemas share the fields of s, which are not modified after that,
// because searches still use s.
func (s *Schema) Extend(fields []*Field) *Schema {
	c := *s
	c.Fields = append(s.unmade(fields), fields...)
	c.byName = make(map[string]*Field, len(c.Fields))
	maps.Copy(c.byName, s.byName)
	for _, f := range fields {
		c.adopt(f)
	}
	return &c
}

// unmade returns the fields without those that are replaced by fields in made, because their type was unknown until now.
func (s *Schema) unmade(made []*Field) []*Field {
	known := func(f *Field) bool {
		return f.Pattern() && !isPattern(f.Name) && slices.ContainsFunc(made, func(m *Field) bool { return m.Name == f.Name })
	}
	if !slices.ContainsFunc(s.Fields, known) {
		return slices.Clip(s.Fields)
	}
	return slices.DeleteFunc(slices.Clone(s.Fields), known)
}

// derive creates a field called name from the first matching pattern. It returns nil if none matches.
func (s *Schema) derive(name string, found kind, array bool) *Field {
	p := s.patternFor(name)
	if p == nil {
		return nil
	}
	f := &Field{Name: name, kind: p.kind, Array: p.Array, Facet: p.Facet, Optional: true, Index: p.Index, Sort: p.Sort,
		RangeIndex: p.RangeIndex, Separators: p.Separators, Symbols: p.Symbols, Locale: p.Locale, Stem: p.Stem, StemDictionary: p.StemDictionary, Infix: p.Infix,
		NumDim: p.NumDim, Distance: p.Distance, HNSW: p.HNSW}
	if unseen, ok := p.kind.(deriver); ok {
		f.kind, f.Array = unseen.derive(found, array)
		f.Sort = f.Sort || f.kind.sorted(f.Array)
	}
	f.Sort = f.Sort && !f.Array
	f.analyzer = f.newAnalyzer(s)
	return f
}

// patternFor returns the pattern for a name. Specific patterns take precedence over ".*".
func (s *Schema) patternFor(name string) *Field {
	var fallback *Field
	for _, f := range s.Fields {
		if !f.Pattern() {
			continue
		}
		if f.Name == ".*" {
			fallback = f
		} else if f.pattern.MatchString(name) {
			return f
		}
	}
	return fallback
}

// Analyzer returns the analyzer for texts that belong to no field.
func (s *Schema) Analyzer() *text.Analyzer { return text.New(s.Separators, s.Symbols) }
