package schema

import (
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Dictionaries returns a stemming dictionary by its name, or nil if it does not exist.
type Dictionaries func(name string) *text.Dictionary

func (s *Schema) dictionary(name string) *text.Dictionary {
	if name == "" || s.dictionaries == nil {
		return nil
	}
	return s.dictionaries(name)
}

// UsesDictionary reports whether a field uses the stemming dictionary.
func (s *Schema) UsesDictionary(name string) bool {
	return slices.ContainsFunc(s.Fields, func(f *Field) bool { return f.StemDictionary == name })
}

// MissingDictionary returns an error for the first field whose stemming dictionary does not exist. Its words would remain unstemmed.
func (s *Schema) MissingDictionary() error {
	for _, f := range s.Fields {
		if f.StemDictionary != "" && s.dictionary(f.StemDictionary) == nil {
			return errDictionary(f.StemDictionary)
		}
	}
	return nil
}

func errDictionary(name string) *Error { return refuse("Stemming dictionary `%s` not found.", name) }

// With returns a copy of the schema whose fields use the dictionaries. The fields of s are not modified.
func (s *Schema) With(dictionaries Dictionaries) *Schema {
	c := *s
	c.dictionaries = dictionaries
	c.Fields = slices.Clone(s.Fields)
	c.byName = make(map[string]*Field, len(c.Fields))
	for i, f := range c.Fields {
		if f.StemDictionary != "" {
			own := *f
			own.analyzer = nil
			c.Fields[i] = &own
		}
		c.adopt(c.Fields[i])
	}
	return &c
}
