package index

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// rareShare decides when documents are checked one by one: if they are fewer than one in rareShare.
const rareShare = 8

// restrict removes from set the documents that don't match a filter. It chooses the cheaper way: to check each document of the set, or to
// find all documents that match. If it returns errCut, the documents left in set match, and there was no time to check the others. After
// any other error set is invalid.
func (a *area) restrict(set *roaring.Bitmap, n *filter.Node) error {
	if n == nil || set.IsEmpty() {
		return nil
	}
	switch n.Op {
	case filter.Leaf:
		return a.restrictClause(set, n.Clause)
	case filter.And:
		cut := a.restrict(set, n.Left)
		if cut != nil && !errors.Is(cut, errCut) {
			return cut
		}
		return cmp.Or(a.restrict(set, n.Right), cut) // both apply to what is left, also after a cut
	case filter.Or:
		return a.restrictEither(set, n)
	}
	set.Clear() // the index has no elements of objects
	return nil
}

// restrictEither keeps what matches one of two filters. If time runs out during the first one, the second is not evaluated.
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

// restrictClause removes the documents that don't match a clause. If it is interrupted, nothing is known about any document, and set is
// empty.
func (a *area) restrictClause(set *roaring.Bitmap, c *filter.Clause) error {
	if c.All && !c.Negate {
		return nil
	}
	if err := a.s.ctx.Err(); err != nil {
		set.Clear()
		return err
	}
	if c.Want != nil && !schema.LookedUp(c.Want) {
		return a.restrictValues(set, c)
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
		return nil
	}
	holds, err := a.clause(c)
	switch {
	case err != nil:
		set.Clear()
	case c.Negate:
		set.AndNot(holds)
	default:
		set.And(holds)
	}
	return err
}

// test returns the predicate of a numeric clause, without its negation, or nil for another kind of clause.
func (a *area) test(c *filter.Clause) func(doc uint32) bool {
	if c.All || c.Field == nil {
		return nil
	}
	f := a.part.seg.fields[c.Field.Name]
	if f == nil {
		return nil
	}
	switch want := c.Want.(type) {
	case schema.Wholes:
		if f.ints != nil {
			return f.ints.test(want)
		}
	case schema.Reals:
		if f.floats != nil {
			return f.floats.test(want)
		}
	}
	return nil
}

// restrictValues is restrictClause for a condition that is evaluated on the values of each document.
func (a *area) restrictValues(set *roaring.Bitmap, c *filter.Clause) error {
	f := a.part.seg.fields[c.Field.Name]
	var drop []uint32
	var v schema.Value
	each, work := 1, 0 // since the last check of the time
	if w, ok := c.Want.(schema.Weighed); ok {
		each = w.Work()
	}
	for it := set.Iterator(); it.HasNext(); {
		if work >= checkEvery {
			work = 0
			if err := a.s.look(true); err != nil {
				set.RemoveRange(uint64(it.PeekNext()), 1<<32) // these have not been checked
				set.AndNot(roaring.BitmapOf(drop...))
				return err
			}
		}
		doc := it.Next()
		switch {
		case f == nil:
		case f.parts.Floats: // the usual case: no other column is read
			v.Floats = f.floats.of(doc)
		default:
			v, _ = f.row(doc)
		}
		work += each * max(1, (len(v.Ints)+len(v.Floats))/2)
		if c.Want.Meets(c.Field, v) == c.Negate {
			drop = append(drop, doc)
		}
	}
	set.AndNot(roaring.BitmapOf(drop...))
	return nil
}

// clause returns the documents that match a clause, without its negation. The result is cached for the search.
func (a *area) clause(c *filter.Clause) (*roaring.Bitmap, error) {
	if set, ok := a.clauses[c]; ok {
		return set, nil
	}
	set, err := a.holding(c)
	if err == nil {
		a.clauses[c] = set
	}
	return set, err
}

// alternativesBetween is how many alternatives of a clause are looked up between two checks of the time, because a caller may send any
// number of them.
const alternativesBetween = 16

func (a *area) holding(c *filter.Clause) (*roaring.Bitmap, error) {
	set := roaring.New()
	if c.All {
		set.AddRange(0, uint64(a.part.seg.n))
		return set, nil
	}
	var f *field
	if c.Field != nil {
		if f = a.part.seg.fields[c.Field.Name]; f == nil {
			return set, nil
		}
	}
	switch want := c.Want.(type) {
	case schema.Wholes:
		if f != nil && f.ints != nil {
			return f.ints.within(want), nil
		}
	case schema.Reals:
		if f != nil && f.floats != nil {
			return f.floats.within(want), nil
		}
	case schema.AnyWords:
		if f == nil || f.words != nil {
			return set, a.addWords(set, f, c, want)
		}
	}
	return set, nil
}

// addWords adds the documents that contain one of the alternatives. Without a field, the alternatives are IDs.
func (a *area) addWords(set *roaring.Bitmap, f *field, c *filter.Clause, want schema.AnyWords) error {
	for i, w := range want {
		if i%alternativesBetween == alternativesBetween-1 {
			if err := a.s.look(true); err != nil {
				return err
			}
		}
		if f == nil {
			set.AddMany(a.part.seg.withID(w.Text))
			continue
		}
		fitting, err := a.fitting(f.words, w, a.s.completions(c, w))
		if err != nil {
			return err
		}
		set.Or(fitting)
	}
	return nil
}

// test returns a predicate that reports whether a document has a value in one of the ranges.
func (c *column[T]) test(ranges []schema.Range[T]) func(doc uint32) bool {
	inside := insideOf(joined(ranges))
	return func(doc uint32) bool { return slices.ContainsFunc(c.of(doc), inside) }
}

func insideOf[T number](ranges []schema.Range[T]) func(v T) bool {
	if len(ranges) == 1 {
		low, high := ranges[0].Low, ranges[0].High
		return func(v T) bool { return low <= v && v <= high }
	}
	return func(v T) bool {
		i, _ := slices.BinarySearchFunc(ranges, v, func(r schema.Range[T], v T) int { return cmp.Compare(r.High, v) })
		return i < len(ranges) && ranges[i].Low <= v
	}
}

// within returns the documents with a value in one of the ranges. It uses the sorted values if there are few, and otherwise scans all.
func (c *column[T]) within(ranges []schema.Range[T]) *roaring.Bitmap {
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

func (c *column[T]) scan(ranges []schema.Range[T]) *roaring.Bitmap {
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

// joined sorts ranges, merges those that overlap, and removes empty ones.
func joined[T number](ranges []schema.Range[T]) []schema.Range[T] {
	sorted := slices.DeleteFunc(slices.Clone(ranges), func(r schema.Range[T]) bool { return r.Low > r.High })
	slices.SortFunc(sorted, func(a, b schema.Range[T]) int { return cmp.Compare(a.Low, b.Low) })
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

// fitting returns the documents whose value matches w. d is the field's dictionary. completions are the words that the last word may stand
// for if w is a prefix.
func (a *area) fitting(d *dictionary, w schema.Words, completions []string) (*roaring.Bitmap, error) {
	if len(w.List) == 0 {
		return roaring.New(), nil
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
	set := intersection(a.part.seg.n, variants)
	if w.Exact {
		return set, keepPhrases(a.s.ctx, set, variants, phraseAt{first: true, last: !w.Prefix})
	}
	return set, nil
}

// completions returns those words with the last word of a prefix filter as their prefix that have the most documents. For a negated filter
// it returns all such words: the limit is chosen by the caller, and would let documents through that the filter excludes.
func (s *search) completions(c *filter.Clause, w schema.Words) []string {
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

// intersection returns those of n documents that contain one of the variants of every word. A repeated word is evaluated once.
func intersection(n int, variants [][]postings) *roaring.Bitmap {
	var set *roaring.Bitmap
	done := make(map[postings]bool)
	for _, alternatives := range variants {
		if len(alternatives) == 1 {
			if done[alternatives[0]] {
				continue
			}
			done[alternatives[0]] = true
		}
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

// phraseAt requires a phrase to be at the start or the end of its element.
type phraseAt struct{ first, last bool }

// keepPhrases removes the documents in which the words are not next to each other. After an error, which is that of the context, set is
// invalid.
func keepPhrases(ctx context.Context, set *roaring.Bitmap, variants [][]postings, at phraseAt) error {
	cursors := make([][]cursor, len(variants))
	for i, alternatives := range variants {
		for _, p := range alternatives {
			cursors[i] = append(cursors[i], newCursor(p))
		}
	}
	places := make([][]place, len(variants))
	var drop []uint32
	work := 0 // words looked up since the last check of the context
	for it := set.Iterator(); it.HasNext(); {
		if work += len(variants); work >= checkEvery {
			if work = 0; ctx.Err() != nil {
				return ctx.Err()
			}
		}
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
	return nil
}

// phrase reports whether the words are next to each other in one element.
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
