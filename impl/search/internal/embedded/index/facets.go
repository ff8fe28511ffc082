package index

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// facet counts a field's values in the documents found. Every value is counted, whatever the search's page shows.
func (s *search) facet(ask Facet) (FacetResult, error) {
	r := FacetResult{Field: ask.Field}
	f, ok := s.m.fields[ask.Field.Name]
	if !ok || s.found.IsEmpty() {
		r.Counts = []FacetCount{}
		return r, nil
	}
	var err error
	switch {
	case f.facet != nil:
		err = s.countStrings(f.facet, &r)
	case f.floats != nil:
		err = countNumbers(s, f.floats, &r, func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 32) })
	case ask.Field.Kind == schema.Bool:
		err = countNumbers(s, f.ints, &r, func(v int64) string { return strconv.FormatBool(v == 1) })
		r.Numeric = false
	case f.ints != nil:
		err = countNumbers(s, f.ints, &r, func(v int64) string { return strconv.FormatInt(v, 10) })
	}
	if err != nil {
		return r, err
	}
	r.Distinct = len(r.Counts)
	slices.SortFunc(r.Counts, func(a, b FacetCount) int {
		if ask.Alpha {
			c := cmp.Compare(a.Value, b.Value)
			if ask.Desc {
				c = -c
			}
			return c
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	r.Counts = r.Counts[:min(len(r.Counts), ask.Max)]
	return r, nil
}

// each calls do for every document found and looks at the context now and then.
func (s *search) each(do func(doc uint32)) error {
	buf := make([]uint32, checkEvery)
	for it := s.found.ManyIterator(); ; {
		n := it.NextMany(buf)
		if n == 0 {
			return nil
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		for _, doc := range buf[:n] {
			do(doc)
		}
	}
}

func (s *search) countStrings(f *facet, r *FacetResult) error {
	counts := make([]int, len(f.value))
	err := s.each(func(doc uint32) {
		for _, n := range f.values(doc) {
			counts[n]++
		}
	})
	r.Counts = []FacetCount{}
	for n, c := range counts {
		if c > 0 {
			r.Counts = append(r.Counts, FacetCount{f.value[n], c})
		}
	}
	return err
}

func countNumbers[T number](s *search, c *column[T], r *FacetResult, show func(T) string) error {
	counts := make(map[T]int)
	var buf [1]T
	n := 0
	err := s.each(func(doc uint32) {
		values := c.values(doc, buf[:])
		for i, v := range values {
			if i > 0 && slices.Contains(values[:i], v) { // a document counts once for a value
				continue
			}
			counts[v]++
			x := float64(v)
			if n == 0 {
				r.Min, r.Max = x, x
			}
			r.Min, r.Max, r.Sum = min(r.Min, x), max(r.Max, x), r.Sum+x
			n++
		}
	})
	r.Counts = make([]FacetCount, 0, len(counts))
	for v, k := range counts {
		r.Counts = append(r.Counts, FacetCount{show(v), k})
	}
	if n > 0 {
		r.Numeric, r.Avg = true, r.Sum/float64(n)
	}
	return err
}
