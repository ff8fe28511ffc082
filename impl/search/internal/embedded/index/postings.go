package index

import (
	"encoding/binary"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// elementStride separates the elements of a list in the numbering of positions: position = element*stride + word.
const elementStride = 1 << 16

// union returns those of n documents that contain one of the words.
func union(n int, lists []postings) *roaring.Bitmap {
	total := 0
	for _, p := range lists {
		total += p.n()
	}
	if total < n/16 || n < 1<<12 {
		set := roaring.New()
		for _, p := range lists {
			set.AddMany(p.docs())
		}
		return set
	}
	dense := make([]uint64, (n+63)/64)
	for _, p := range lists {
		for _, doc := range p.docs() {
			dense[doc>>6] |= 1 << (doc & 63)
		}
	}
	return roaring.FromDense(dense, false)
}

// cursor iterates forward over the postings of a word.
type cursor struct {
	p    postings
	docs []uint32
	from int // the index of docs in p
	i    int
}

func newCursor(p postings) cursor { return cursor{docs: p.docs(), p: p} }

// seek moves to doc and reports whether it is there. Documents must be requested in ascending order.
func (c *cursor) seek(doc uint32) bool {
	c.skip(doc)
	return c.i < len(c.docs) && c.docs[c.i] == doc
}

// skip moves to the first document that is not before doc.
func (c *cursor) skip(doc uint32) {
	for step := 1; c.i < len(c.docs) && c.docs[c.i] < doc; step *= 2 {
		if next := c.i + step; next < len(c.docs) && c.docs[next] <= doc {
			c.i = next
			continue
		}
		k, _ := slices.BinarySearch(c.docs[c.i:min(len(c.docs), c.i+step+1)], doc)
		c.i += k
		return
	}
}

// places returns the encoded positions in the current document.
func (c *cursor) places() []byte { return c.placesAt(c.i) }

// placesAt returns the encoded positions in document i of the run.
func (c *cursor) placesAt(i int) []byte {
	data, _ := nextPlaces(c.p.d.placesFrom(c.p.from + uint32(c.from+i)))
	return data
}

// placesFrom returns the data that starts with the positions of a posting.
func (d *dictionary) placesFrom(posting uint32) []byte {
	rest := d.places[d.steps[posting/stepPostings]:]
	for range posting % stepPostings {
		_, rest = nextPlaces(rest)
	}
	return rest
}

// nextPlaces splits off the positions of the first posting.
func nextPlaces(data []byte) (places, rest []byte) {
	size, n := binary.Uvarint(data)
	return data[n : n+int(size)], data[n+int(size):]
}

// place is one occurrence of a word.
type place struct {
	pos  uint32
	last bool // the last word of its element
}

func appendPlace(dst []byte, p place, prev uint32) []byte {
	v := uint64(p.pos-prev) << 1
	if p.last {
		v |= 1
	}
	return binary.AppendUvarint(dst, v)
}

func decodePlaces(dst []place, data []byte) []place {
	pos := uint32(0)
	for len(data) > 0 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return dst
		}
		pos += uint32(v >> 1)
		dst = append(dst, place{pos, v&1 == 1})
		data = data[n:]
	}
	return dst
}
