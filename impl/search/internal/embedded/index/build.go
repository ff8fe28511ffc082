package index

import (
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// document is a document for a new segment.
type document struct {
	seq    uint64
	schema *schema.Schema
	typed  *schema.Typed
}

// build creates a segment from documents, which it sorts by Seq.
func build(docs []document) *segment {
	slices.SortFunc(docs, func(a, b document) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	s := &segment{n: len(docs), fields: make(map[string]*field)}
	builders := make(map[string]*fieldBuilder)
	for doc, d := range docs {
		s.seqs = append(s.seqs, d.seq)
		s.ids.add(d.typed.ID)
		for name, v := range d.typed.Values {
			f, ok := d.schema.Field(name)
			if !ok {
				continue
			}
			b := builders[name]
			if b == nil {
				b = newFieldBuilder(newField(f.Columns()))
				builders[name], s.fields[name] = b, b.out
			}
			b.add(uint32(doc), f, v)
		}
	}
	for _, b := range builders {
		b.seal(s.n)
	}
	s.sortIDs()
	s.measure()
	return s
}

func (s *segment) sortIDs() {
	s.byID = make([]uint32, s.n)
	for i := range s.byID {
		s.byID[i] = uint32(i)
	}
	slices.SortFunc(s.byID, func(a, b uint32) int { return compareTexts(s.ids.at(a), s.ids.at(b)) })
}

// fieldBuilder builds a field of a segment. Documents are added in ascending order. Documents without a value are not added.
type fieldBuilder struct {
	out   *field
	next  uint32 // the first document whose columns have not been written
	facet *facetBuilder
	words map[string]*wordBuilder
}

// wordBuilder collects the postings of one word.
type wordBuilder struct {
	docs []uint32
	ends []uint32 // ends[i] is the end of the positions in docs[i]
	data []byte
	prev uint32 // the last position in the last document
}

func newFieldBuilder(f *field) *fieldBuilder {
	b := &fieldBuilder{out: f}
	if f.facet != nil {
		b.facet = newFacetBuilder(f.facet)
	}
	if f.words != nil {
		b.words = make(map[string]*wordBuilder)
	}
	return b
}

func (b *fieldBuilder) add(doc uint32, f *schema.Field, v schema.Value) {
	b.gap(doc)
	b.next = doc + 1
	var order schema.Order
	if b.out.order != nil {
		order, _ = f.Order(v)
	}
	b.columns(v, order.Text)
	if b.words != nil {
		n := b.addWords(doc, f, v.Strings)
		if b.out.parts.Array {
			n = anyLength
		}
		b.out.words.lengths = append(b.out.words.lengths, byte(min(n, anyLength)))
	}
}

// columns appends one document's row to every column.
func (b *fieldBuilder) columns(v schema.Value, order string) {
	if b.facet != nil {
		b.facet.add(v.Strings)
	}
	if b.out.ints != nil {
		b.out.ints.add(v.Ints)
	}
	if b.out.floats != nil {
		b.out.floats.add(v.Floats)
	}
	if b.out.order != nil {
		b.out.order.add(order)
	}
	if b.out.vectors != nil {
		b.out.vectors.add(v.Floats)
	}
}

// gap appends empty rows for all documents before doc.
func (b *fieldBuilder) gap(doc uint32) {
	for ; b.next < doc; b.next++ {
		b.columns(schema.Value{}, "")
		if b.words != nil {
			b.out.words.lengths = append(b.out.words.lengths, 0)
		}
	}
}

// addWords records the positions of the words of a document's values, and returns the number of words.
func (b *fieldBuilder) addWords(doc uint32, f *schema.Field, values []string) (count int) {
	for e, v := range values {
		if e >= 1<<15 {
			break
		}
		words := f.Analyzer().Tokens(v)
		count += len(words)
		for i, w := range words {
			pos := uint32(e)*elementStride + uint32(min(i, elementStride-1))
			b.addPlace(w.Text, doc, place{pos, i == len(words)-1})
		}
	}
	return count
}

func (b *fieldBuilder) addPlace(word string, doc uint32, p place) {
	w := b.words[word]
	if w == nil {
		w = &wordBuilder{}
		b.words[word] = w
	}
	if n := len(w.docs); n == 0 || w.docs[n-1] != doc {
		w.docs, w.ends, w.prev = append(w.docs, doc), append(w.ends, uint32(len(w.data))), 0
	} else if w.prev == p.pos { // past the last numbered position, or the same word at the same position
		return
	}
	w.data = appendPlace(w.data, p, w.prev)
	w.prev = p.pos
	w.ends[len(w.ends)-1] = uint32(len(w.data))
}

// seal completes the field of a segment with n documents.
func (b *fieldBuilder) seal(n int) {
	b.gap(uint32(n))
	if b.facet != nil {
		b.facet.seal()
	}
	if b.out.ints != nil {
		b.out.ints.seal()
	}
	if b.out.floats != nil {
		b.out.floats.seal()
	}
	if b.words == nil {
		return
	}
	words := make([]string, 0, len(b.words))
	for w := range b.words {
		words = append(words, w)
	}
	slices.Sort(words)
	for _, word := range words {
		w := b.words[word]
		b.out.words.addTerm(word)
		from := uint32(0)
		for i, doc := range w.docs {
			b.out.words.addPosting(doc, w.data[from:w.ends[i]])
			from = w.ends[i]
		}
	}
}
