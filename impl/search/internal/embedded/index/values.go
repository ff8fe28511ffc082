package index

import (
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Holds reports whether the index can return a field's values as they are in the documents. It can for numbers and booleans, and for
// strings that are facets. Duplicates in a list of strings are lost.
func Holds(f *schema.Field) bool {
	return f.Counted() && !f.Pattern() && (!f.Text() || f.Facet && f.Index)
}

// valueReader reads the values of one field.
type valueReader struct {
	s     *search
	field *schema.Field
	// words caches, by area and number, copies of strings that outlive the segment.
	words [][]string
}

func (s *search) readers() []*valueReader {
	out := make([]*valueReader, len(s.plan.Values))
	for i, f := range s.plan.Values {
		out[i] = &valueReader{s: s, field: f, words: make([][]string, len(s.areas))}
	}
	return out
}

// of returns the values of a document.
func (r *valueReader) of(area int, doc uint32) (v schema.Value) {
	f := r.s.areas[area].part.seg.fields[r.field.Name]
	switch {
	case f == nil:
	case f.facet != nil:
		v.Strings = r.strings(area, f.facet, f.facet.of(doc))
	case f.ints != nil:
		v.Ints = append(v.Ints, f.ints.of(doc)...)
	case f.floats != nil:
		v.Floats = append(v.Floats, f.floats.of(doc)...)
	}
	return v
}

func (r *valueReader) strings(area int, f *facet, numbers []uint32) []string {
	words := r.words[area]
	if words == nil {
		words = make([]string, f.values.len())
		r.words[area] = words
	}
	for _, n := range numbers {
		if words[n] == "" {
			words[n] = strings.Clone(f.values.at(n))
		}
	}
	if len(numbers) == 1 {
		return words[numbers[0] : numbers[0]+1 : numbers[0]+1]
	}
	var out []string
	for _, n := range numbers {
		out = append(out, words[n])
	}
	return out
}
