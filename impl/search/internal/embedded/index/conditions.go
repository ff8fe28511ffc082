package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
)

// matching returns the documents that a filter lets through. The set is the caller's.
func (m *Memory) matching(n *filter.Node, candidates int) *roaring.Bitmap {
	if n == nil {
		return m.live.Clone()
	}
	switch n.Op {
	case filter.Leaf:
		return m.clause(n.Clause, candidates)
	case filter.And:
		set := m.matching(n.Left, candidates)
		if set.IsEmpty() {
			return set
		}
		set.And(m.matching(n.Right, candidates))
		return set
	case filter.Or:
		set := m.matching(n.Left, candidates)
		set.Or(m.matching(n.Right, candidates))
		return set
	}
	return roaring.New()
}

func (m *Memory) clause(c *filter.Clause, candidates int) *roaring.Bitmap {
	var set *roaring.Bitmap
	switch {
	case c.All:
		set = m.live.Clone()
	case c.Field == nil:
		set = m.withIDs(c.Words)
	default:
		set = m.fieldClause(c, candidates)
	}
	if c.Negate {
		return roaring.AndNot(m.live, set)
	}
	return set
}

func (m *Memory) withIDs(words []filter.Words) *roaring.Bitmap {
	set := roaring.New()
	for _, w := range words {
		if doc, ok := m.ids[w.Text]; ok {
			set.Add(doc)
		}
	}
	return set
}

func (m *Memory) fieldClause(c *filter.Clause, candidates int) *roaring.Bitmap {
	set := roaring.New()
	f, ok := m.fields[c.Field.Name]
	if !ok {
		return set
	}
	switch {
	case f.ints != nil:
		f.ints.within(set, c.Ints)
	case f.floats != nil:
		f.floats.within(set, c.Floats)
	case f.words != nil:
		for _, w := range c.Words {
			set.Or(f.words.holding(w, candidates))
		}
	}
	return set
}

// within adds the documents that have a value in one of the ranges.
func (c *column[T]) within(set *roaring.Bitmap, ranges []filter.Range[T]) {
	ranges = union(ranges)
	inside := func(v T) bool {
		if len(ranges) == 1 {
			return ranges[0].Low <= v && v <= ranges[0].High
		}
		i, _ := slices.BinarySearchFunc(ranges, v, func(r filter.Range[T], v T) int { return cmp.Compare(r.High, v) })
		return i < len(ranges) && ranges[i].Low <= v
	}
	found := make([]uint32, 0, 1024)
	buf := make([]uint32, 1024)
	for it := c.has.ManyIterator(); ; {
		n := it.NextMany(buf)
		if n == 0 {
			break
		}
		for _, doc := range buf[:n] {
			if c.array && slices.ContainsFunc(c.many[doc], inside) || !c.array && inside(c.one[doc]) {
				found = append(found, doc)
			}
		}
		set.AddMany(found)
		found = found[:0]
	}
}

// union sorts ranges and joins those that overlap; empty ones go.
func union[T number](ranges []filter.Range[T]) []filter.Range[T] {
	sorted := slices.DeleteFunc(slices.Clone(ranges), func(r filter.Range[T]) bool { return r.Low > r.High })
	slices.SortFunc(sorted, func(a, b filter.Range[T]) int { return cmp.Compare(a.Low, b.Low) })
	out := sorted[:0]
	for _, r := range sorted {
		if n := len(out); n > 0 && r.Low <= out[n-1].High {
			out[n-1].High = max(out[n-1].High, r.High)
			continue
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return []filter.Range[T]{{Low: 1, High: 0}}
	}
	return out
}

// holding returns the documents whose value fits w.
func (v *vocabulary) holding(w filter.Words, candidates int) *roaring.Bitmap {
	if len(w.List) == 0 {
		return roaring.New()
	}
	variants := make([][]*postings, len(w.List))
	for i, word := range w.List {
		if w.Prefix && i == len(w.List)-1 {
			variants[i] = v.commonest(word, candidates)
		} else if p, ok := v.terms[word]; ok {
			variants[i] = []*postings{p}
		}
		if len(variants[i]) == 0 {
			return roaring.New()
		}
	}
	set := intersection(variants)
	if w.Exact {
		keepPhrases(set, variants, phraseAt{first: true, last: !w.Prefix})
	}
	return set
}

// commonest returns the postings of the n words with most documents among those that begin with prefix.
func (v *vocabulary) commonest(prefix string, n int) []*postings {
	var all []*postings
	for w := v.from(prefix); ; w.next() {
		word, ok := w.word()
		if !ok || !strings.HasPrefix(word, prefix) {
			break
		}
		all = append(all, v.terms[word])
	}
	slices.SortStableFunc(all, func(a, b *postings) int { return cmp.Compare(b.n, a.n) })
	return all[:min(n, len(all))]
}

// intersection returns the documents that hold one of the variants of every word.
func intersection(variants [][]*postings) *roaring.Bitmap {
	var set *roaring.Bitmap
	for _, alternatives := range variants {
		next := roaring.New()
		for _, p := range alternatives {
			p.addTo(next)
		}
		if set == nil {
			set = next
		} else {
			set.And(next)
		}
		if set.IsEmpty() {
			return set
		}
	}
	return set
}

// phraseAt says where a phrase must stand in its element.
type phraseAt struct{ first, last bool }

// keepPhrases removes the documents in which the words do not stand side by side.
func keepPhrases(set *roaring.Bitmap, variants [][]*postings, at phraseAt) {
	cursors := make([][]cursor, len(variants))
	for i, alternatives := range variants {
		for _, p := range alternatives {
			cursors[i] = append(cursors[i], cursor{p: p})
		}
	}
	places := make([][]place, len(variants))
	var drop []uint32
	for it := set.Iterator(); it.HasNext(); {
		doc := it.Next()
		for i := range cursors {
			places[i] = places[i][:0]
			for k := range cursors[i] {
				if cursors[i][k].seek(doc) {
					places[i] = decodePlaces(places[i], cursors[i][k].positions())
				}
			}
		}
		if !phrase(places, at) {
			drop = append(drop, doc)
		}
	}
	for _, doc := range drop {
		set.Remove(doc)
	}
}

// phrase says whether the words stand side by side in one element.
func phrase(places [][]place, at phraseAt) bool {
	for _, start := range places[0] {
		if at.first && start.pos%elementStride != 0 {
			continue
		}
		if at.last && len(places) == 1 && !start.last {
			continue
		}
		if follows(places, start, at.last) {
			return true
		}
	}
	return false
}

func follows(places [][]place, start place, wantLast bool) bool {
	prev := start
	for i := 1; i < len(places); i++ {
		if prev.last {
			return false
		}
		k := slices.IndexFunc(places[i], func(p place) bool { return p.pos == start.pos+uint32(i) })
		if k < 0 {
			return false
		}
		prev = places[i][k]
	}
	return !wantLast || prev.last
}
