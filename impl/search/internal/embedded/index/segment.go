package index

import (
	"slices"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// segment is an immutable part of the index. Its documents have the numbers 0 to n-1, in the order of their Seq. All its data is in slices
// of numbers and bytes, with the same layout in memory as in a file, so that a segment in a file is its mapped pages.
type segment struct {
	n      int
	seqs   []uint64 // by document, ascending
	ids    texts    // by document
	byID   []uint32 // the documents sorted by ID
	fields map[string]*field
	// file holds the mapped pages; nil for a segment in memory.
	file *file
	size int64
}

// field holds the data of one field in a segment, according to its type and flags.
type field struct {
	parts  schema.Columns
	words  *dictionary
	facet  *facet
	ints   *column[int64]
	floats *column[float64]
	// vectors is nil for fields that hold no vectors.
	vectors *vectors
	// order holds the normalised strings of a sortable string field by document; "" for none.
	order *texts
}

func newField(p schema.Columns) *field {
	f := &field{parts: p}
	if p.Words {
		f.words = &dictionary{}
	}
	if p.Facet {
		f.facet = &facet{array: p.Array}
	}
	if p.Ints {
		f.ints = &column[int64]{array: p.Array}
	}
	if p.Floats {
		f.floats = &column[float64]{array: p.Array}
	}
	if p.Order {
		f.order = &texts{}
	}
	if p.Dim > 0 {
		f.vectors = &vectors{dim: p.Dim}
	}
	return f
}

// find returns the number of the document with the Seq.
func (s *segment) find(seq uint64) (doc uint32, ok bool) {
	if s.n == 0 || seq < s.seqs[0] || seq > s.seqs[s.n-1] {
		return 0, false
	}
	i, ok := slices.BinarySearch(s.seqs, seq)
	return uint32(i), ok
}

// numbered returns the documents with the given Seqs, as far as the segment contains them.
func (s *segment) numbered(seqs []uint64) *roaring.Bitmap {
	set := roaring.New()
	for _, seq := range seqs {
		if doc, ok := s.find(seq); ok {
			set.Add(doc)
		}
	}
	return set
}

// withID returns the documents with the ID. Until a merge, dead documents may be among them.
func (s *segment) withID(id string) []uint32 {
	from, found := slices.BinarySearchFunc(s.byID, id, func(doc uint32, id string) int { return compareTexts(s.ids.at(doc), id) })
	to := from
	for found && to < len(s.byID) && s.ids.at(s.byID[to]) == id {
		to++
	}
	return s.byID[from:to]
}

func compareTexts(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// texts is a list of strings.
type texts struct {
	ends  []uint32
	bytes []byte
}

func (t *texts) len() int { return len(t.ends) }

func (t *texts) add(s string) {
	t.bytes = append(t.bytes, s...)
	t.ends = append(t.ends, uint32(len(t.bytes)))
}

// at returns string i. Its bytes belong to the segment, so that a caller that keeps it longer must clone it.
func (t *texts) at(i uint32) string {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	b := t.bytes[from:t.ends[i]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// search returns the index of s in sorted texts, or the index at which it would be inserted.
func (t *texts) search(s string) (uint32, bool) {
	low, high := uint32(0), uint32(len(t.ends))
	for low < high {
		mid := low + (high-low)/2
		if t.at(mid) < s {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, int(low) < len(t.ends) && t.at(low) == s
}

// visitor visits every slice of a segment in a fixed order, to write or to read them.
type visitor interface {
	bytes(*[]byte)
	u32s(*[]uint32)
	u64s(*[]uint64)
	f32s(*[]float32)
	i64s(*[]int64)
	f64s(*[]float64)
}

func (s *segment) visit(v visitor) {
	v.u64s(&s.seqs)
	s.ids.visit(v)
	v.u32s(&s.byID)
	for _, name := range s.names() {
		s.fields[name].visit(v)
	}
}

func (s *segment) names() []string {
	names := make([]string, 0, len(s.fields))
	for name := range s.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t *texts) visit(v visitor) {
	v.u32s(&t.ends)
	v.bytes(&t.bytes)
}

func (f *field) visit(v visitor) {
	if f.words != nil {
		f.words.visit(v)
	}
	if f.facet != nil {
		f.facet.values.visit(v)
		v.u32s(&f.facet.ends)
		v.u32s(&f.facet.list)
	}
	if f.ints != nil {
		f.ints.visit(v)
		v.i64s(&f.ints.values)
	}
	if f.floats != nil {
		f.floats.visit(v)
		v.f64s(&f.floats.values)
	}
	if f.order != nil {
		f.order.visit(v)
	}
	if f.vectors != nil {
		v.u32s(&f.vectors.docs)
		v.f32s(&f.vectors.values)
	}
}

// sizer sums the bytes of a segment.
type sizer struct{ total int64 }

func (z *sizer) bytes(p *[]byte)   { z.total += int64(cap(*p)) }
func (z *sizer) u32s(p *[]uint32)  { z.total += 4 * int64(cap(*p)) }
func (z *sizer) f32s(p *[]float32) { z.total += 4 * int64(cap(*p)) }
func (z *sizer) u64s(p *[]uint64)  { z.total += 8 * int64(cap(*p)) }
func (z *sizer) i64s(p *[]int64)   { z.total += 8 * int64(cap(*p)) }
func (z *sizer) f64s(p *[]float64) { z.total += 8 * int64(cap(*p)) }

// measure sets the segment's size in memory.
func (s *segment) measure() {
	var z sizer
	s.visit(&z)
	s.size = z.total
}
