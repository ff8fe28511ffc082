package index

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Compared is the difference between an index and the documents that it should contain.
type Compared struct {
	// Held is the number of documents that are in the index and should be.
	Held int
	// Excess documents are in the index but should not be, or are in it twice. Different documents have other values in the index than they
	// should have.
	Excess, Different int
}

// Read returns the documents with the first of these sequence numbers, as they should be indexed. It reads at least one, and no more than
// should be in memory at once. taken is how many sequence numbers it has processed. A sequence number without a document is left out of
// docs.
type Read func(seqs []uint64) (docs []Change, taken int, err error)

// compareDocuments is the maximum number of documents that are compared at once.
const compareDocuments = 8192

// Compare compares the contents of the index with the documents: their words with all positions, columns, facets, sort orders and vectors,
// and whether they are found by their IDs. It does not report documents that are missing in the index; the caller knows how many there
// should be. It fails with ErrDamaged if the index can't be read.
func (x *Segments) Compare(ctx context.Context, read Read) (c Compared, err error) {
	v := x.view.Load()
	seen := make(map[uint64]struct{}, v.documents)
	err = guard(v.parts, func() error {
		for _, p := range v.parts {
			if err := p.seg.sound(); err != nil {
				return err
			}
			if err := c.part(ctx, p, seen, read); err != nil {
				return err
			}
		}
		return nil
	})
	return c, err
}

// part compares the live documents of a part, in batches.
func (c *Compared) part(ctx context.Context, p part, seen map[uint64]struct{}, read Read) error {
	var docs []uint32
	for doc := range uint32(p.seg.n) {
		if !p.alive(doc) {
			continue
		}
		if _, twice := seen[p.seg.seqs[doc]]; twice {
			c.Excess++
			continue
		}
		seen[p.seg.seqs[doc]] = struct{}{}
		docs = append(docs, doc)
	}
	for len(docs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		some := docs[:min(len(docs), compareDocuments)]
		seqs := make([]uint64, len(some))
		for i, doc := range some {
			seqs[i] = p.seg.seqs[doc]
		}
		wanted, taken, err := read(seqs)
		if err != nil {
			return err
		}
		if taken < 1 || taken > len(some) {
			return fmt.Errorf("compare index: %d of %d documents were read", taken, len(some))
		}
		c.some(p, some[:taken], wanted)
		docs = docs[taken:]
	}
	return nil
}

// some compares a batch of documents of a part with those that should be there.
func (c *Compared) some(p part, docs []uint32, wanted []Change) {
	bySeq := make(map[uint64]Change, len(wanted))
	for _, w := range wanted {
		bySeq[w.Seq] = w
	}
	keep := roaring.New()
	var list []document
	for _, doc := range docs {
		w, there := bySeq[p.seg.seqs[doc]]
		if !there {
			c.Excess++
			continue
		}
		keep.Add(doc)
		list = append(list, document{w.Seq, w.Schema, w.New})
	}
	c.Held += len(list)
	if len(list) == 0 {
		return
	}
	keep.Flip(0, uint64(p.seg.n)) // documents outside of the batch count as dead
	c.Different += len(differing(merge([]part{{p.seg, keep}}).seg, build(list)))
}

// sound checks the sort orders in a segment on which lookups rely.
func (s *segment) sound() error {
	places := roaring.BitmapOf(s.byID...)
	inOrder := slices.IsSortedFunc(s.byID, func(a, b uint32) int { return compareTexts(s.ids.at(a), s.ids.at(b)) })
	if int(places.GetCardinality()) != s.n || len(s.byID) != s.n || !inOrder || !slices.IsSorted(s.seqs) {
		return fmt.Errorf("%w: documents are out of order", ErrDamaged)
	}
	for _, name := range s.names() {
		f := s.fields[name]
		if f.ints != nil && !f.ints.inOrder() || f.floats != nil && !f.floats.inOrder() {
			return fmt.Errorf("%w: numbers are out of order", ErrDamaged)
		}
	}
	return nil
}

// inOrder reports whether sorted and owners match the values.
func (c *column[T]) inOrder() bool {
	places := roaring.BitmapOf(c.sorted...)
	if len(c.sorted) != len(c.values) || len(c.owners) != len(c.values) || int(places.GetCardinality()) != len(c.values) {
		return false
	}
	from := uint32(0)
	for doc, end := range c.ends {
		for at := from; at < end; at++ {
			if c.owners[at] != uint32(doc) {
				return false
			}
		}
		from = end
	}
	return slices.IsSortedFunc(c.sorted, func(a, b uint32) int { return cmp.Compare(c.values[a], c.values[b]) })
}

// differing returns the documents that differ between two segments of the same documents.
func differing(have, want *segment) map[uint32]struct{} {
	d := map[uint32]struct{}{}
	for doc := range uint32(want.n) {
		if have.ids.at(doc) != want.ids.at(doc) || have.seqs[doc] != want.seqs[doc] {
			d[doc] = struct{}{}
		}
	}
	names := slices.Concat(have.names(), want.names())
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fieldsDiffer(have.fields[name], want.fields[name], want.n, d)
	}
	return d
}

// fieldsDiffer adds the documents whose values of a field differ. A field that is missing or has another form counts as one without values.
func fieldsDiffer(a, b *field, n int, d map[uint32]struct{}) {
	none := &field{}
	switch {
	case a == nil:
		a = none
	case b == nil:
		b = none
	case a.parts != b.parts:
		fieldsDiffer(a, nil, n, d)
		fieldsDiffer(nil, b, n, d)
		return
	}
	for doc := range uint32(n) {
		if !a.rowOf(doc).equal(b.rowOf(doc)) {
			d[doc] = struct{}{}
		}
	}
	wordsDiffer(a.words, b.words, d)
}

// columnValues are the values of a document in a field's columns.
type columnValues struct {
	schema.Value
	order string
}

// rowOf is row for a field that may have no columns.
func (f *field) rowOf(doc uint32) (v columnValues) {
	v.Value, v.order = f.row(doc)
	return v
}

func (v columnValues) equal(o columnValues) bool {
	return v.order == o.order && slices.Equal(v.Strings, o.Strings) && slices.Equal(v.Ints, o.Ints) && slices.Equal(v.Floats, o.Floats)
}

// wordsDiffer adds the documents in which a word has different positions, or which have different lengths. The length of a text without
// words is ignored: nothing uses it, and it differs between an empty field and one that was never set.
func wordsDiffer(a, b *dictionary, d map[uint32]struct{}) {
	if a == nil {
		a = &dictionary{}
	}
	if b == nil {
		b = &dictionary{}
	}
	for i, j := uint32(0), uint32(0); int(i) < a.terms.len() || int(j) < b.terms.len(); {
		var order int
		switch {
		case int(i) == a.terms.len():
			order = 1
		case int(j) == b.terms.len():
			order = -1
		default:
			order = compareTexts(a.terms.at(i), b.terms.at(j))
		}
		var left, right []posting
		if order <= 0 {
			left = a.list(i)
			i++
		}
		if order >= 0 {
			right = b.list(j)
			j++
		}
		postingsDiffer(left, right, func(doc uint32) bool { return a.lengths[doc] == b.lengths[doc] }, d) // documents in both lists have lengths in both
	}
}

// list reads the postings of a term.
func (d *dictionary) list(term uint32) (out []posting) {
	p := d.postings(term)
	if p.n() == 0 {
		return nil
	}
	rest := d.placesFrom(p.from)
	for _, doc := range p.docs() {
		var data []byte
		data, rest = nextPlaces(rest)
		out = append(out, posting{doc, data})
	}
	return out
}

// postingsDiffer adds the documents that are in only one of the lists, or in both with different positions or lengths.
func postingsDiffer(a, b []posting, sameLength func(doc uint32) bool, d map[uint32]struct{}) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].doc < b[0].doc:
			d[a[0].doc] = struct{}{}
			a = a[1:]
		case len(a) == 0 || b[0].doc < a[0].doc:
			d[b[0].doc] = struct{}{}
			b = b[1:]
		default:
			if !bytes.Equal(a[0].places, b[0].places) || !sameLength(a[0].doc) {
				d[a[0].doc] = struct{}{}
			}
			a, b = a[1:], b[1:]
		}
	}
}
