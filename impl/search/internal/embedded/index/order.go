package index

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// comparison orders two documents: negative when a comes first.
type comparison func(a, b *scored) int

// page sorts the documents found and cuts the wanted part. Only as many as the page needs are kept in order.
func (s *search) page() ([]Hit, error) {
	want := s.plan.Offset + s.plan.Limit
	if s.plan.Limit == 0 || uint64(s.plan.Offset) >= s.found.GetCardinality() {
		return nil, nil
	}
	all := s.scored
	if all == nil {
		all = make([]scored, 0, s.found.GetCardinality())
		for it := s.found.Iterator(); it.HasNext(); {
			all = append(all, scored{doc: it.Next()})
		}
	}
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	order := s.order()
	if want < len(all)/2 {
		all = top(all, want, order)
	} else {
		slices.SortFunc(all, func(a, b scored) int { return order(&a, &b) })
	}
	all = all[s.plan.Offset:min(want, len(all))]
	hits := make([]Hit, len(all))
	for i := range all {
		hits[i] = Hit{Seq: s.m.seq[all[i].doc], Match: s.match(&all[i])}
	}
	return hits, nil
}

func (s *search) match(d *scored) *Match {
	if s.scored == nil {
		return nil
	}
	return &Match{
		Score: d.score.total, BestField: d.score.best, BestWeight: int(d.score.weight), FieldsMatched: int(d.score.fields),
		TokensMatched: int(d.score.matched), TokensDropped: int(d.dropped), TypoPrefixCost: d.score.typoCost(),
	}
}

// worst is a heap with the last of the kept documents on top.
type worst struct {
	list  []scored
	order comparison
}

func (h *worst) Len() int           { return len(h.list) }
func (h *worst) Less(i, j int) bool { return h.order(&h.list[i], &h.list[j]) > 0 }
func (h *worst) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *worst) Push(x any)         { h.list = append(h.list, x.(scored)) }
func (h *worst) Pop() any {
	last := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return last
}

// top returns the first n documents in order.
func top(all []scored, n int, order comparison) []scored {
	h := &worst{list: slices.Clone(all[:n]), order: order}
	heap.Init(h)
	for i := n; i < len(all); i++ {
		if order(&all[i], &h.list[0]) < 0 {
			h.list[0] = all[i]
			heap.Fix(h, 0)
		}
	}
	slices.SortFunc(h.list, func(a, b scored) int { return order(&a, &b) })
	return h.list
}

// order makes the comparison of the plan. Without sort keys: text match, then the collection's own sort field; the newest
// document breaks every tie.
func (s *search) order() comparison {
	byScore := func(a, b *scored) int { return cmp.Compare(b.score.total, a.score.total) }
	var parts []comparison
	scoreSeen := false
	for _, k := range s.plan.Sort {
		if k.Field == nil {
			scoreSeen = true
			parts = append(parts, byScore)
			if !k.Desc {
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
	return func(a, b *scored) int {
		for _, p := range parts {
			if c := p(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(b.doc, a.doc)
	}
}

func (s *search) byField(k ordering.Key) comparison {
	f, ok := s.m.fields[k.Field.Name]
	if !ok {
		return func(a, b *scored) int { return 0 }
	}
	switch {
	case k.Field.Kind == schema.String:
		return ordered(k, func(doc uint32) (string, bool) {
			if int(doc) >= len(f.order) || f.order[doc] == "" {
				return "", false
			}
			return f.order[doc], true
		})
	case f.floats != nil:
		return ordered(k, f.floats.single)
	default:
		return ordered(k, f.ints.single)
	}
}

func (c *column[T]) single(doc uint32) (T, bool) {
	if c.array || !c.has.Contains(doc) {
		return 0, false
	}
	return c.one[doc], true
}

func ordered[T cmp.Ordered](k ordering.Key, value func(doc uint32) (T, bool)) comparison {
	return func(a, b *scored) int {
		x, hasX := value(a.doc)
		y, hasY := value(b.doc)
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
