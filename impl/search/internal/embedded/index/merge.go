package index

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// part is a segment with a set of those of its documents that were removed or replaced since it was built. dead is nil if there are none.
// It is never modified: a removal creates a new part.
type part struct {
	seg  *segment
	dead *roaring.Bitmap
}

func (p part) alive(doc uint32) bool { return p.dead == nil || !p.dead.Contains(doc) }

func (p part) deadCount() int {
	if p.dead == nil {
		return 0
	}
	return int(p.dead.GetCardinality())
}

func (p part) documents() int { return p.seg.n - p.deadCount() }

// without returns a copy of the part with more dead documents.
func (p part) without(docs []uint32) part {
	dead := roaring.New()
	if p.dead != nil {
		dead = p.dead.Clone()
	}
	dead.AddMany(docs)
	return part{p.seg, dead}
}

// gone is the new number of a document that was dead.
const gone = ^uint32(0)

// origin is the source of a document of a merged segment.
type origin struct {
	seq  uint64
	from int
	doc  uint32
}

// merged is a segment built from the live documents of others.
type merged struct {
	seg *segment
	// number[i][doc] is the new number of document doc of part i, or gone.
	number [][]uint32
}

func merge(parts []part) merged {
	m := merged{seg: &segment{fields: make(map[string]*field)}, number: make([][]uint32, len(parts))}
	var origins []origin
	for i, p := range parts {
		m.number[i] = make([]uint32, p.seg.n)
		for doc := range p.seg.n {
			m.number[i][doc] = gone
			if p.alive(uint32(doc)) {
				origins = append(origins, origin{p.seg.seqs[doc], i, uint32(doc)})
			}
		}
	}
	slices.SortFunc(origins, func(a, b origin) int { return cmp.Compare(a.seq, b.seq) })
	s := m.seg
	s.n = len(origins)
	s.seqs = make([]uint64, 0, s.n)
	for n, o := range origins {
		m.number[o.from][o.doc] = uint32(n)
		s.seqs = append(s.seqs, o.seq)
		s.ids.add(parts[o.from].seg.ids.at(o.doc))
	}
	s.sortIDs()
	for _, p := range parts {
		for _, name := range p.seg.names() {
			if s.fields[name] == nil {
				s.fields[name] = m.field(parts, origins, name, p.seg.fields[name].parts)
			}
		}
	}
	s.measure()
	return m
}

// field merges a field of those parts that have it in this form.
func (m merged) field(parts []part, origins []origin, name string, form schema.Columns) *field {
	from := make([]*field, len(parts))
	for i, p := range parts {
		if f := p.seg.fields[name]; f != nil && f.parts == form {
			from[i] = f
		}
	}
	b := newFieldBuilder(newField(form))
	b.words = nil // merged below, not collected
	for n, o := range origins {
		f := from[o.from]
		if f == nil {
			continue
		}
		for ; b.next < uint32(n); b.next++ {
			b.columns(schema.Value{}, "")
		}
		b.next = uint32(n) + 1
		v, order := f.row(o.doc)
		b.columns(v, order)
	}
	b.seal(len(origins))
	if form.Words {
		m.words(from, origins, b.out.words)
	}
	return b.out
}

// row reads a document's values from the columns. The strings are backed by the segment.
func (f *field) row(doc uint32) (v schema.Value, order string) {
	if f.facet != nil {
		for _, n := range f.facet.of(doc) {
			v.Strings = append(v.Strings, f.facet.values.at(n))
		}
	}
	if f.ints != nil {
		v.Ints = f.ints.of(doc)
	}
	if f.floats != nil {
		v.Floats = f.floats.of(doc)
	}
	if f.vectors != nil {
		v.Floats = f.vectors.numbers(doc)
	}
	if f.order != nil {
		order = f.order.at(doc)
	}
	return v, order
}

// source is a dictionary that is being merged.
type source struct {
	d      *dictionary
	number []uint32
	term   uint32
}

// words merges dictionaries word by word, and each word document by document.
func (m merged) words(from []*field, origins []origin, out *dictionary) {
	var sources []*source
	for i, f := range from {
		if f != nil && f.words.terms.len() > 0 {
			sources = append(sources, &source{d: f.words, number: m.number[i]})
		}
	}
	out.lengths = make([]byte, len(origins))
	for n, o := range origins {
		if f := from[o.from]; f != nil {
			out.lengths[n] = f.words.lengths[o.doc]
		}
	}
	var list []posting
	for len(sources) > 0 {
		word := sources[0].d.terms.at(sources[0].term)
		for _, s := range sources[1:] {
			word = min(word, s.d.terms.at(s.term))
		}
		list = list[:0]
		for _, s := range sources {
			if s.d.terms.at(s.term) == word {
				list = s.living(list)
				s.term++
			}
		}
		sources = slices.DeleteFunc(sources, func(s *source) bool { return int(s.term) == s.d.terms.len() })
		if len(list) == 0 {
			continue
		}
		byDoc := func(a, b posting) int { return cmp.Compare(a.doc, b.doc) }
		if !slices.IsSortedFunc(list, byDoc) {
			slices.SortFunc(list, byDoc)
		}
		out.addTerm(word)
		for _, p := range list {
			out.addPosting(p.doc, p.places)
		}
	}
}

// posting is a document of a word with its encoded positions.
type posting struct {
	doc    uint32
	places []byte
}

// living appends the postings of the source's current term for live documents, with their new numbers.
func (s *source) living(list []posting) []posting {
	p := s.d.postings(s.term)
	if p.n() == 0 {
		return list
	}
	rest := s.d.placesFrom(p.from)
	for _, doc := range p.docs() {
		var data []byte
		data, rest = nextPlaces(rest)
		if n := s.number[doc]; n != gone {
			list = append(list, posting{n, data})
		}
	}
	return list
}
