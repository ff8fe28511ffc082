package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// facet counts a field's values in all documents found, whatever page is requested.
func (s *search) facet(ask Facet) (FacetResult, error) {
	r := FacetResult{Field: ask.Field}
	if s.found == 0 {
		r.Counts = []FacetCount{}
		return r, nil
	}
	var err error
	held := ask.Field.Columns()
	switch {
	case !ask.Field.Counted():
		r.Counts = []FacetCount{}
	case held.Facet:
		err = s.countStrings(&r)
	case held.Floats:
		err = countNumbers(s, reals, &r, func(v float64) schema.Value { return schema.Value{Floats: []float64{v}} })
	case held.Ints:
		err = countNumbers(s, wholes, &r, func(v int64) schema.Value { return schema.Value{Ints: []int64{v}} })
	}
	r.Numeric = r.Numeric && ask.Field.Numeric()
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
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.Last, a.Last), cmp.Compare(a.Value, b.Value))
	})
	if len(r.Counts) > ask.Max {
		r.Counts = slices.Clone(r.Counts[:ask.Max]) // the others are released before the answer is built
	}
	return r, nil
}

func wholes(f *field) *column[int64]  { return f.ints }
func reals(f *field) *column[float64] { return f.floats }

// each calls do for every document found, and checks the context regularly.
func (a *area) each(do func(doc uint32)) error { return a.eachOf(a.found, do) }

func (a *area) eachOf(set *roaring.Bitmap, do func(doc uint32)) error {
	buf := make([]uint32, checkEvery)
	for it := set.ManyIterator(); ; {
		n := it.NextMany(buf)
		if n == 0 {
			return nil
		}
		if err := a.s.giveWay(); err != nil {
			return err
		}
		for _, doc := range buf[:n] {
			do(doc)
		}
	}
}

// tallied counts a value's documents and remembers the newest of them.
type tallied struct {
	n    int
	last uint64
}

func (t *tallied) add(n int, last uint64) { t.n, t.last = t.n+n, max(t.last, last) }

func (s *search) countStrings(r *FacetResult) error {
	total := make(map[string]tallied)
	for _, a := range s.areas {
		f := a.part.seg.fields[r.Field.Name]
		if f == nil || f.facet == nil {
			continue
		}
		type seen struct{ n, last uint32 }
		counts := make([]seen, f.facet.values.len())
		if err := a.each(func(doc uint32) {
			for _, n := range f.facet.of(doc) {
				counts[n].n, counts[n].last = counts[n].n+1, doc
			}
		}); err != nil {
			return err
		}
		for n, c := range counts {
			if c.n > 0 {
				v := f.facet.values.at(uint32(n))
				t := total[v]
				t.add(int(c.n), a.part.seg.seqs[c.last])
				total[v] = t
			}
		}
	}
	r.Counts = make([]FacetCount, 0, len(total))
	for v, c := range total {
		r.Counts = append(r.Counts, FacetCount{strings.Clone(v), c.n, c.last}) // the value outlives the segment
	}
	return nil
}

func countNumbers[T number](s *search, of func(*field) *column[T], r *FacetResult, value func(T) schema.Value) error {
	counts := make(map[T]tallied)
	n := 0
	for _, a := range s.areas {
		f := a.part.seg.fields[r.Field.Name]
		if f == nil || of(f) == nil {
			continue
		}
		c := of(f)
		if err := a.each(func(doc uint32) {
			values := c.of(doc)
			for i, v := range values {
				if i > 0 && slices.Contains(values[:i], v) { // a document counts once per value
					continue
				}
				t := counts[v]
				t.add(1, a.part.seg.seqs[doc])
				counts[v] = t
				x := float64(v)
				if n == 0 {
					r.Min, r.Max = x, x
				}
				r.Min, r.Max, r.Sum = min(r.Min, x), max(r.Max, x), r.Sum+x
				n++
			}
		}); err != nil {
			return err
		}
	}
	r.Counts = make([]FacetCount, 0, len(counts))
	var shown []string
	for v, k := range counts {
		if shown = r.Field.Texts(shown[:0], value(v)); len(shown) == 1 {
			r.Counts = append(r.Counts, FacetCount{shown[0], k.n, k.last})
		}
	}
	if n > 0 {
		r.Numeric, r.Avg = true, r.Sum/float64(n)
	}
	return nil
}
