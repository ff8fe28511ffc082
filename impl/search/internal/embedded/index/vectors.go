package index

import (
	"errors"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// vectors holds a field's vectors consecutively, in the order of their documents.
type vectors struct {
	dim    int
	docs   []uint32 // documents that have a vector, ascending
	values []float32
	next   uint32 // the next document to be added
}

// add appends the vector of the next document. Numbers that are not a vector of the field count as none.
func (v *vectors) add(numbers []float64) {
	if len(numbers) == v.dim {
		v.docs = append(v.docs, v.next)
		for _, x := range numbers {
			v.values = append(v.values, float32(x))
		}
	}
	v.next++
}

// of returns a document's vector, or nil. It must not be modified.
func (v *vectors) of(doc uint32) []float32 {
	i, ok := slices.BinarySearch(v.docs, doc)
	if !ok {
		return nil
	}
	return v.values[i*v.dim : (i+1)*v.dim : (i+1)*v.dim]
}

// numbers returns a document's vector in the form of a schema.Value.
func (v *vectors) numbers(doc uint32) []float64 {
	var out []float64
	for _, x := range v.of(doc) {
		out = append(out, float64(x))
	}
	return out
}

// Near measures the vectors of the documents found.
type Near struct {
	Field *schema.Field
	// Distance returns the distance of a vector. It must not retain the vector.
	Distance func(vector []float32) float64
}

// measure sets the distances of hits. If the plan's Cutoff passes, it stops, and the remaining hits have none.
func (s *search) measure(found []scored, hits []Hit) error {
	near := s.plan.Near
	if near == nil {
		return nil
	}
	for i, d := range found {
		if i%checkEvery == 0 {
			if err := s.giveWay(); errors.Is(err, errCut) {
				return nil
			} else if err != nil {
				return err
			}
		}
		f := s.areas[d.area].part.seg.fields[near.Field.Name]
		if f == nil || f.vectors == nil {
			continue
		}
		if v := f.vectors.of(d.doc); v != nil {
			hits[i].Measured, hits[i].Distance = true, near.Distance(v)
		}
	}
	return nil
}
