package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// candidate is a word of the vocabulary that may stand for a word of the query.
type candidate struct {
	text string
	// cost orders candidates: two for each typo, one for a prefix.
	cost int
	// n is the number of documents in all query fields.
	n int
	// terms are the places where the word was found.
	terms []termAt
}

// termAt is a word in the dictionary of one field of one part.
type termAt struct {
	area, field int
	p           postings
}

// tally counts the documents of words over several fields and parts.
type tally struct {
	s      *search
	byText map[string]*candidate
}

func newTally(s *search) *tally { return &tally{s: s, byText: make(map[string]*candidate)} }

func (t *tally) add(area int, d *dictionary, field int, term uint32, cost int) {
	word := d.terms.at(term)
	c := t.byText[word]
	if c == nil {
		c = &candidate{text: word, cost: cost}
		t.byText[word] = c
	}
	p := d.postings(term)
	c.n += p.n()
	c.terms = append(c.terms, termAt{area, field, p})
}

// best returns the words with the most live documents. The word first, if found, comes first. Words without live documents are omitted.
func (t *tally) best(keep int, first string) []candidate {
	all := make([]*candidate, 0, len(t.byText))
	for _, c := range t.byText {
		all = append(all, c)
	}
	order := func(a, b *candidate) int {
		exact := cmp.Compare(boolInt(b.text == first), boolInt(a.text == first))
		return cmp.Or(exact, cmp.Compare(b.n, a.n), cmp.Compare(a.text, b.text))
	}
	slices.SortFunc(all, order)
	// Counts that include dead documents are upper bounds. Once enough words are known, words whose bound is below the last of them can be
	// skipped.
	var kept []*candidate
	for _, c := range all {
		if len(kept) >= keep && c.n < kept[keep-1].n {
			break
		}
		if t.s.countLiving(c); c.n == 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(kept, c, order)
		if at < keep {
			kept = slices.Insert(kept[:min(len(kept), keep)], at, c)
		}
	}
	kept = kept[:min(keep, len(kept))]
	out := make([]candidate, 0, len(kept)) // not keep, which a caller may set to any number
	for _, c := range kept {
		c.text = strings.Clone(c.text) // the text outlives the segment
		out = append(out, *c)
	}
	return out
}

// countLiving subtracts the dead documents from a candidate's count.
func (s *search) countLiving(c *candidate) {
	for _, t := range c.terms {
		if dead := s.areas[t.area].part.dead; dead != nil {
			c.n -= deadAmong(t.p.docs(), dead)
		}
	}
}

func deadAmong(docs []uint32, dead *roaring.Bitmap) (n int) {
	for _, doc := range docs {
		if dead.Contains(doc) {
			n++
		}
	}
	return n
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
