package index

import (
	"encoding/binary"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// dictionary holds a field's words in sorted order, with their postings: the documents that contain a word, ascending, and the positions in
// each.
//
// The postings of all words are stored consecutively, so that posting i is for document docs[i]. Its positions are in places, preceded by
// their length. steps holds where the positions of every stepPostings-th posting start. Positions are read for few documents only, so they
// are stored compactly.
type dictionary struct {
	terms texts
	ends  []uint32 // ends[term] is the end of the term's postings
	docs  []uint32
	steps []uint32
	// places holds, for each posting, the length in bytes (a varint) and the positions (encodePlaces).
	places []byte
	// lengths holds the number of words of the field by document, up to anyLength. anyLength also means that the number is unknown, as for
	// lists of strings.
	lengths []byte

	whole [mostWhole + 1]atomic.Pointer[roaring.Bitmap] // see ofLength
}

// mostWhole is the largest number of words for which the documents with so many words are cached.
const mostWhole = 8

// ofLength returns the documents whose field may have exactly that many words. The set must not be modified.
func (d *dictionary) ofLength(words int) *roaring.Bitmap {
	if set := d.whole[words].Load(); set != nil {
		return set
	}
	var docs []uint32
	for doc, n := range d.lengths {
		if int(n) == words || n == anyLength {
			docs = append(docs, uint32(doc))
		}
	}
	set := roaring.BitmapOf(docs...)
	d.whole[words].Store(set)
	return set
}

const (
	stepPostings = 32
	anyLength    = 255
)

func (d *dictionary) visit(v visitor) {
	d.terms.visit(v)
	v.u32s(&d.ends)
	v.u32s(&d.docs)
	v.u32s(&d.steps)
	v.bytes(&d.places)
	v.bytes(&d.lengths)
}

// addTerm appends a word. addPosting then appends its postings.
func (d *dictionary) addTerm(term string) {
	d.terms.add(term)
	d.ends = append(d.ends, uint32(len(d.docs)))
}

func (d *dictionary) addPosting(doc uint32, places []byte) {
	if len(d.docs)%stepPostings == 0 {
		d.steps = append(d.steps, uint32(len(d.places)))
	}
	d.docs = append(d.docs, doc)
	d.places = binary.AppendUvarint(d.places, uint64(len(places)))
	d.places = append(d.places, places...)
	d.ends[len(d.ends)-1] = uint32(len(d.docs))
}

// postings are the postings of one word. The zero value is empty.
type postings struct {
	d        *dictionary
	from, to uint32
}

func (d *dictionary) postings(term uint32) postings {
	from := uint32(0)
	if term > 0 {
		from = d.ends[term-1]
	}
	return postings{d, from, d.ends[term]}
}

// find returns the postings of a word, or empty postings if the field does not contain it.
func (d *dictionary) find(word string) postings {
	if term, ok := d.terms.search(word); ok {
		return d.postings(term)
	}
	return postings{}
}

func (p postings) n() int { return int(p.to - p.from) }

func (p postings) docs() []uint32 {
	if p.d == nil {
		return nil
	}
	return p.d.docs[p.from:p.to]
}

// past returns the first term after term that does not have the prefix. term itself has it.
func (d *dictionary) past(term uint32, prefix string) uint32 {
	low, step := int(term), 1 // terms up to low have the prefix; most such runs are short
	for low+step < d.terms.len() && strings.HasPrefix(d.terms.at(uint32(low+step)), prefix) {
		low, step = low+step, 2*step
	}
	high := min(low+step, d.terms.len())
	return uint32(low + 1 + sort.Search(high-low-1, func(k int) bool { return !strings.HasPrefix(d.terms.at(uint32(low+1+k)), prefix) }))
}

// withPrefix calls found for every word with the prefix.
func (d *dictionary) withPrefix(prefix string, found func(term uint32)) {
	term, _ := d.terms.search(prefix)
	for ; int(term) < d.terms.len() && strings.HasPrefix(d.terms.at(term), prefix); term++ {
		found(term)
	}
}

// similar runs a matcher over the words in order and calls found for those that match. It skips words that start with something that no
// match can start with.
func (d *dictionary) similar(m *text.Matcher, found func(term uint32, cost text.Cost)) {
	for term := uint32(0); int(term) < d.terms.len(); {
		word := d.terms.at(term)
		cost, ok, dead := m.Match(word)
		switch {
		case ok:
			found(term, cost)
			term++
		case dead > 0:
			term = d.past(term, word[:dead])
		default:
			term++
		}
	}
}
