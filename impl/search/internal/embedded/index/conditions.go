package index

import (
	"cmp"
	"errors"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
)

// rareShare says when documents are looked at one by one: when they are less than one of so many.
const rareShare = 8

// restrict removes from set the documents that a filter does not let through. What is cheaper is done: to look at each document of
// the set, or to find all that the filter lets through. With errCut, what is left in set was let through, and there was no time for the rest; with another
// error set is of no use.
func (a *area) restrict(set *roaring.Bitmap, n *filter.Node) error {
	if n == nil || set.IsEmpty() {
		return nil
	}
	switch n.Op {
	case filter.Leaf:
		a.restrictClause(set, n.Clause)
	case filter.And:
		cut := a.restrict(set, n.Left)
		if cut != nil && !errors.Is(cut, errCut) {
			return cut
		}
		return cmp.Or(a.restrict(set, n.Right), cut) // both hold for what is left, also after a cut
	case filter.Or:
		return a.restrictEither(set, n)
	case filter.Document:
		return a.restrictPlaces(set, n.Check.Geo)
	default:
		set.Clear()
	}
	return nil
}

// restrictEither leaves what one of two filters lets through. After a cut there is no time for the second.
func (a *area) restrictEither(set *roaring.Bitmap, n *filter.Node) error {
	left := set.Clone()
	err := a.restrict(left, n.Left)
	if err == nil {
		err = a.restrict(set, n.Right)
	} else {
		set.Clear()
	}
	set.Or(left)
	return err
}

// restrictPlaces removes the documents that are not where a condition wants them. The index does not know the elements of objects: of a condition on them, for which g is nil, nothing is left.
func (a *area) restrictPlaces(set *roaring.Bitmap, g *filter.Geo) error {
	if g == nil {
		set.Clear()
		return nil
	}
	f := a.part.seg.fields[g.Field.Name]
	var drop []uint32
	n := 0
	for it := set.Iterator(); it.HasNext(); n++ {
		if n > 0 && n%checkEvery == 0 {
			if err := a.s.look(true); err != nil {
				set.RemoveRange(uint64(it.PeekNext()), 1<<32) // of these nothing is known
				set.AndNot(roaring.BitmapOf(drop...))
				return err
			}
		}
		doc := it.Next()
		var places []float64
		if f != nil && f.floats != nil {
			places = f.floats.of(doc)
		}
		if !g.Meets(places) {
			drop = append(drop, doc)
		}
	}
	set.AndNot(roaring.BitmapOf(drop...))
	return nil
}

func (a *area) restrictClause(set *roaring.Bitmap, c *filter.Clause) {
	if c.All && !c.Negate {
		return
	}
	if test := a.test(c); test != nil && a.clauses[c] == nil && set.GetCardinality() < uint64(a.part.seg.n/rareShare) {
		var drop []uint32
		for it := set.Iterator(); it.HasNext(); {
			if doc := it.Next(); test(doc) == c.Negate {
				drop = append(drop, doc)
			}
		}
		for _, doc := range drop {
			set.Remove(doc)
		}
		return
	}
	if c.Negate {
		set.AndNot(a.clause(c))
	} else {
		set.And(a.clause(c))
	}
}

// test returns the rule of a clause on numbers, without its negation, or nil for another clause.
func (a *area) test(c *filter.Clause) func(doc uint32) bool {
	if c.All || c.Field == nil {
		return nil
	}
	f := a.part.seg.fields[c.Field.Name]
	switch {
	case f == nil:
		return nil
	case f.ints != nil:
		return f.ints.test(c.Ints)
	case f.floats != nil:
		return f.floats.test(c.Floats)
	}
	return nil
}

// clause returns the documents for which a clause holds, without its negation. It is made once for a search.
func (a *area) clause(c *filter.Clause) *roaring.Bitmap {
	if set, ok := a.clauses[c]; ok {
		return set
	}
	set := a.holding(c)
	a.clauses[c] = set
	return set
}

func (a *area) holding(c *filter.Clause) *roaring.Bitmap {
	set := roaring.New()
	if c.All {
		set.AddRange(0, uint64(a.part.seg.n))
		return set
	}
	if c.Field == nil {
		for _, w := range c.Words {
			set.AddMany(a.part.seg.withID(w.Text))
		}
		return set
	}
	f := a.part.seg.fields[c.Field.Name]
	switch {
	case f == nil:
	case f.ints != nil:
		return f.ints.within(c.Ints)
	case f.floats != nil:
		return f.floats.within(c.Floats)
	case f.words != nil:
		for _, w := range c.Words {
			set.Or(f.words.fitting(a.part.seg.n, w, a.s.completions(c, w)))
		}
	}
	return set
}

// test returns whether a document has a value in one of the ranges.
func (c *column[T]) test(ranges []filter.Range[T]) func(doc uint32) bool {
	inside := insideOf(joined(ranges))
	return func(doc uint32) bool { return slices.ContainsFunc(c.of(doc), inside) }
}

func insideOf[T number](ranges []filter.Range[T]) func(v T) bool {
	if len(ranges) == 1 {
		low, high := ranges[0].Low, ranges[0].High
		return func(v T) bool { return low <= v && v <= high }
	}
	return func(v T) bool {
		i, _ := slices.BinarySearchFunc(ranges, v, func(r filter.Range[T], v T) int { return cmp.Compare(r.High, v) })
		return i < len(ranges) && ranges[i].Low <= v
	}
}

// within returns the documents that have a value in one of the ranges: from the sorted values when they are few, else by a look at all.
func (c *column[T]) within(ranges []filter.Range[T]) *roaring.Bitmap {
	ranges = joined(ranges)
	var docs []uint32
	for _, r := range ranges {
		from := sort.Search(len(c.sorted), func(i int) bool { return c.values[c.sorted[i]] >= r.Low })
		to := from + sort.Search(len(c.sorted)-from, func(i int) bool { return c.values[c.sorted[from+i]] > r.High })
		if len(docs)+to-from > len(c.ends)/rareShare {
			return c.scan(ranges)
		}
		for _, at := range c.sorted[from:to] {
			docs = append(docs, c.owners[at])
		}
	}
	slices.Sort(docs)
	return roaring.BitmapOf(docs...)
}

func (c *column[T]) scan(ranges []filter.Range[T]) *roaring.Bitmap {
	inside := insideOf(ranges)
	dense := make([]uint64, (len(c.ends)+63)/64)
	for i, v := range c.values {
		if inside(v) {
			doc := c.owners[i]
			dense[doc>>6] |= 1 << (doc & 63)
		}
	}
	return roaring.FromDense(dense, false)
}

// joined sorts ranges and joins those that overlap; empty ones go.
func joined[T number](ranges []filter.Range[T]) []filter.Range[T] {
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
	return out
}

// fitting returns the documents, of n, whose value fits w. completions are the words that may stand for the last one when w is a prefix.
func (d *dictionary) fitting(n int, w filter.Words, completions []string) *roaring.Bitmap {
	if len(w.List) == 0 {
		return roaring.New()
	}
	variants := make([][]postings, len(w.List))
	for i, word := range w.List {
		if w.Prefix && i == len(w.List)-1 {
			for _, c := range completions {
				variants[i] = append(variants[i], d.find(c))
			}
		} else {
			variants[i] = []postings{d.find(word)}
		}
	}
	set := intersection(n, variants)
	if w.Exact {
		keepPhrases(set, variants, phraseAt{first: true, last: !w.Prefix})
	}
	return set
}

// completions returns the words with most documents among those that begin with the last word of a prefix filter. Of a negated one they are
// all: a limit, which callers choose, would let documents through that the filter forbids.
func (s *search) completions(c *filter.Clause, w filter.Words) []string {
	if !w.Prefix || len(w.List) == 0 {
		return nil
	}
	t := newTally(s)
	for i, a := range s.areas {
		if f := a.part.seg.fields[c.Field.Name]; f != nil && f.words != nil {
			f.words.withPrefix(w.List[len(w.List)-1], func(term uint32) { t.add(i, f.words, 0, term, 0) })
		}
	}
	var words []string
	most := max(s.plan.FilterCandidates, 1)
	if c.Negate {
		most = len(t.byText)
	}
	for _, c := range t.best(most, "") {
		words = append(words, c.text)
	}
	return words
}

// intersection returns the documents, of n, that hold one of the variants of every word.
func intersection(n int, variants [][]postings) *roaring.Bitmap {
	var set *roaring.Bitmap
	for _, alternatives := range variants {
		next := union(n, alternatives)
		if set == nil {
			set = next
		} else {
			set.And(next)
		}
		if set.IsEmpty() {
			break
		}
	}
	if set == nil {
		set = roaring.New()
	}
	return set
}

// phraseAt says where a phrase must stand in its element.
type phraseAt struct{ first, last bool }

// keepPhrases removes the documents in which the words do not stand side by side.
func keepPhrases(set *roaring.Bitmap, variants [][]postings, at phraseAt) {
	cursors := make([][]cursor, len(variants))
	for i, alternatives := range variants {
		for _, p := range alternatives {
			cursors[i] = append(cursors[i], newCursor(p))
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
					places[i] = decodePlaces(places[i], cursors[i][k].places())
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
