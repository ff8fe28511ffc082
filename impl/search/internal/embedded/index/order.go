package index

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// comparison compares two documents. It is negative if a comes first.
type comparison func(a, b *scored) int

// page returns the requested page of the documents that were kept.
func (s *search) page() ([]Hit, error) {
	if s.plan.Limit == 0 {
		return nil, nil
	}
	all := s.top.list
	slices.SortFunc(all, func(a, b scored) int { return s.order(&a, &b) })
	var hits []Hit
	readers := s.readers()
	wanted := all[min(s.plan.Offset, len(all)):min(s.plan.Offset+s.plan.Limit, len(all))]
	values := make([]schema.Value, 0, len(wanted)*len(readers))
	for i := range wanted {
		d := &wanted[i]
		for _, r := range readers {
			values = append(values, r.of(int(d.area), d.doc))
		}
		hits = append(hits, Hit{Seq: d.seq, Match: s.match(d), Values: values[len(values)-len(readers) : len(values) : len(values)]})
	}
	return hits, s.measure(wanted, hits)
}

func (s *search) match(d *scored) *Match {
	if !s.texts {
		return nil
	}
	return &Match{
		Score: d.score.total, BestField: d.score.best, BestWeight: int(d.score.weight), FieldsMatched: int(d.score.fields),
		TokensMatched: int(d.score.matched), TokensDropped: int(d.dropped), TypoPrefixCost: d.score.typoCost(),
	}
}

// worst keeps the best want documents. Once it is full it is a heap with the worst of them at the top.
type worst struct {
	want  int
	list  []scored
	order comparison
}

// full reports that another document is kept only if it is better than a kept one.
func (h *worst) full() bool { return len(h.list) >= h.want }

// admits reports whether a document would be kept.
func (h *worst) admits(d *scored) bool { return !h.full() || h.order(d, &h.list[0]) < 0 }

// offer keeps a document if it is among the best.
func (h *worst) offer(d scored) {
	switch {
	case !h.full():
		if h.list = append(h.list, d); h.full() {
			heap.Init(h)
		}
	case h.order(&d, &h.list[0]) < 0:
		h.list[0] = d
		heap.Fix(h, 0)
	}
}

// The methods of heap.Interface. Push and Pop are not used, because documents are replaced in place.

func (h *worst) Len() int           { return len(h.list) }
func (h *worst) Less(i, j int) bool { return h.order(&h.list[i], &h.list[j]) > 0 }
func (h *worst) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *worst) Push(any)           {}
func (h *worst) Pop() any           { return nil }

// comparison returns the order of the plan. Without sort keys it is by text match, and then by the collection's default sorting field. The
// newest document wins all ties.
func (s *search) comparison() comparison {
	byScore := func(a, b *scored) int { return cmp.Compare(b.score.total, a.score.total) }
	var parts []comparison
	scoreSeen := false
	for _, k := range s.plan.Sort {
		if k.Field == nil {
			scoreSeen = true
			parts = append(parts, byScore)
			if !k.Desc {
				s.ascending = true
				parts[len(parts)-1] = func(a, b *scored) int { return byScore(b, a) }
			}
			continue
		}
		parts = append(parts, s.byField(k))
	}
	if !scoreSeen {
		parts = append(parts, byScore)
	}
	if len(s.plan.Sort) == 0 && s.plan.Schema.DefaultSortingField != "" {
		if f, ok := s.plan.Schema.Field(s.plan.Schema.DefaultSortingField); ok {
			parts = append(parts, s.byField(ordering.Key{Field: f, Desc: true}))
		}
	}
	s.matchOnly = len(parts) == 1 && !s.ascending
	return func(a, b *scored) int {
		for _, p := range parts {
			if c := p(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(b.seq, a.seq)
	}
}

// byField returns a comparison by a field's value.
func (s *search) byField(k ordering.Key) comparison {
	fields := make([]*field, len(s.areas))
	for i, a := range s.areas {
		fields[i] = a.part.seg.fields[k.Field.Name]
	}
	switch held := k.Field.Columns(); {
	case held.Order:
		return ordered(k, func(d *scored) (string, bool) {
			f := fields[d.area]
			if f == nil || f.order == nil {
				return "", false
			}
			v := f.order.at(d.doc)
			return v, v != ""
		})
	case held.Floats:
		return ordered(k, func(d *scored) (float64, bool) {
			if f := fields[d.area]; f != nil && f.floats != nil {
				return f.floats.single(d.doc)
			}
			return 0, false
		})
	default:
		return ordered(k, func(d *scored) (int64, bool) {
			if f := fields[d.area]; f != nil && f.ints != nil {
				return f.ints.single(d.doc)
			}
			return 0, false
		})
	}
}

func ordered[T cmp.Ordered](k ordering.Key, value func(d *scored) (T, bool)) comparison {
	return func(a, b *scored) int {
		x, hasX := value(a)
		y, hasY := value(b)
		switch {
		case !hasX && !hasY:
			return 0
		case hasX != hasY:
			if hasX == k.MissingFirst {
				return 1
			}
			return -1
		case k.Desc:
			return cmp.Compare(y, x)
		}
		return cmp.Compare(x, y)
	}
}
