package index

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
)

// blockDocs is the number of documents at which a block is cut in two: an insertion moves at most one block.
const blockDocs = 512

// elementStride parts the elements of a list in the numbering of positions: position = element*stride + word.
const elementStride = 1 << 16

// postings are the documents that hold a word, ascending, with the word's positions.
type postings struct {
	blocks []*block
	n      int
}

type block struct {
	docs []uint32
	ends []uint32 // ends[i] is the end of docs[i]'s positions in data
	data []byte
}

func (b *block) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

// locate finds the block for doc and the place in it.
func (p *postings) locate(doc uint32) (bi, i int) {
	bi = sort.Search(len(p.blocks), func(k int) bool { return p.blocks[k].docs[0] > doc }) - 1
	if bi < 0 {
		bi = 0
	}
	i, _ = slices.BinarySearch(p.blocks[bi].docs, doc)
	return bi, i
}

// insert adds a document that is not there yet.
func (p *postings) insert(doc uint32, positions []byte) {
	p.n++
	if len(p.blocks) == 0 {
		p.blocks = append(p.blocks, &block{})
	}
	last := p.blocks[len(p.blocks)-1]
	if n := len(last.docs); n == 0 || last.docs[n-1] < doc {
		if n >= blockDocs {
			last = &block{}
			p.blocks = append(p.blocks, last)
		}
		last.docs = append(last.docs, doc)
		last.data = append(last.data, positions...)
		last.ends = append(last.ends, uint32(len(last.data)))
		return
	}
	bi, i := p.locate(doc)
	b := p.blocks[bi]
	at, size := b.start(i), uint32(len(positions))
	b.docs = slices.Insert(b.docs, i, doc)
	b.data = slices.Insert(b.data, int(at), positions...)
	b.ends = slices.Insert(b.ends, i, at)
	for k := i; k < len(b.ends); k++ {
		b.ends[k] += size
	}
	if len(b.docs) > 2*blockDocs {
		p.blocks = slices.Insert(p.blocks, bi+1, b.cut())
	}
}

// cut moves the second half into a new block.
func (b *block) cut() *block {
	h := len(b.docs) / 2
	from := b.ends[h-1]
	half := &block{docs: slices.Clone(b.docs[h:]), ends: slices.Clone(b.ends[h:]), data: slices.Clone(b.data[from:])}
	for k := range half.ends {
		half.ends[k] -= from
	}
	b.docs, b.ends, b.data = slices.Clip(b.docs[:h]), slices.Clip(b.ends[:h]), slices.Clip(b.data[:from])
	return half
}

// remove takes a document out and returns the number of bytes of its positions, or -1 when it was not there.
func (p *postings) remove(doc uint32) int {
	if len(p.blocks) == 0 {
		return -1
	}
	bi, i := p.locate(doc)
	b := p.blocks[bi]
	if i >= len(b.docs) || b.docs[i] != doc {
		return -1
	}
	p.n--
	from, to := b.start(i), b.ends[i]
	b.docs = slices.Delete(b.docs, i, i+1)
	b.data = slices.Delete(b.data, int(from), int(to))
	b.ends = slices.Delete(b.ends, i, i+1)
	for k := i; k < len(b.ends); k++ {
		b.ends[k] -= to - from
	}
	if len(b.docs) == 0 {
		p.blocks = slices.Delete(p.blocks, bi, bi+1)
	}
	return int(to - from)
}

// addTo puts the documents into set.
func (p *postings) addTo(set *roaring.Bitmap) {
	for _, b := range p.blocks {
		set.AddMany(b.docs)
	}
}

// cursor walks postings forward.
type cursor struct {
	p     *postings
	bi, i int
}

// seek moves to doc and says whether it is there. Documents must be asked for in ascending order.
func (c *cursor) seek(doc uint32) bool {
	for c.bi < len(c.p.blocks) {
		b := c.p.blocks[c.bi]
		if b.docs[len(b.docs)-1] < doc {
			c.bi, c.i = c.bi+1, 0
			continue
		}
		for step := 1; b.docs[c.i] < doc; step *= 2 {
			if next := c.i + step; next < len(b.docs) && b.docs[next] <= doc {
				c.i = next
				continue
			}
			rest := b.docs[c.i:min(len(b.docs), c.i+step+1)]
			k, _ := slices.BinarySearch(rest, doc)
			c.i += k
			break
		}
		return b.docs[c.i] == doc
	}
	return false
}

func (c *cursor) positions() []byte {
	b := c.p.blocks[c.bi]
	return b.data[b.start(c.i):b.ends[c.i]]
}

// place is one occurrence of a word.
type place struct {
	pos  uint32
	last bool // the last word of its element
}

func encodePlaces(dst []byte, places []place) []byte {
	prev := uint32(0)
	for _, p := range places {
		v := uint64(p.pos-prev) << 1
		if p.last {
			v |= 1
		}
		dst = binary.AppendUvarint(dst, v)
		prev = p.pos
	}
	return dst
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
