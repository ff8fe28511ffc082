package index

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Memory is an Index in the process's memory. Documents have dense numbers in the order of insertion, so that filters,
// sorts and facets are work on columns and bitmaps.
type Memory struct {
	mu     sync.RWMutex
	fields map[string]*field
	live   *roaring.Bitmap
	number map[uint64]uint32 // seq -> document number
	seq    []uint64          // by document number
	ids    map[string]uint32
	bytes  int64
	terms  int
}

// field is what the index knows about one field: the parts that its type and flags ask for.
type field struct {
	words  *vocabulary
	facet  *facet
	ints   *column[int64]
	floats *column[float64]
	// order holds the normalised strings of a sortable string field.
	order []string
}

// Costs of the memory estimate, in bytes.
const (
	documentBytes = 112 // numbers, the id's map entry, bitmap share
	termBytes     = 160 // map entry, ordered entry, postings and first block
	postingBytes  = 8   // document number and end of positions
)

var _ Index = (*Memory)(nil)

// NewMemory returns an empty index.
func NewMemory() *Memory {
	return &Memory{fields: make(map[string]*field), live: roaring.New(), number: make(map[uint64]uint32), ids: make(map[string]uint32)}
}

// Apply implements Index. It fails only when the changes contradict what the index holds.
func (m *Memory) Apply(batch Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range batch {
		if err := m.change(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) change(c Change) error {
	doc, known := m.number[c.Seq]
	if known != (c.Old != nil) {
		return errors.New("index and store disagree about a document")
	}
	if c.Old != nil {
		m.remove(doc, c.Schema, c.Old)
	}
	if c.New == nil {
		if known {
			delete(m.number, c.Seq)
			delete(m.ids, c.Old.ID)
			m.live.Remove(doc)
			m.bytes -= documentBytes + int64(len(c.Old.ID))
		}
		return nil
	}
	if !known {
		doc = uint32(len(m.seq))
		m.seq = append(m.seq, c.Seq)
		m.number[c.Seq] = doc
		m.ids[c.New.ID] = doc
		m.live.Add(doc)
		m.bytes += documentBytes + int64(len(c.New.ID))
	}
	m.add(doc, c.Schema, c.New)
	return nil
}

func (m *Memory) fieldFor(f *schema.Field) *field {
	if known, ok := m.fields[f.Name]; ok {
		return known
	}
	n := &field{}
	switch {
	case f.Text() && f.Index:
		n.words = newVocabulary()
		if f.Facet {
			n.facet = newFacet(f.Array)
		}
	case f.Kind == schema.Float:
		n.floats = newColumn[float64](f.Array)
	case !f.Text():
		n.ints = newColumn[int64](f.Array)
	}
	m.fields[f.Name] = n
	return n
}

func (m *Memory) add(doc uint32, s *schema.Schema, t *schema.Typed) {
	for name, v := range t.Values {
		f, ok := s.Field(name)
		if !ok {
			continue
		}
		n := m.fieldFor(f)
		if n.words != nil {
			m.addWords(n.words, doc, f, v.Strings)
		}
		if n.facet != nil {
			m.bytes += n.facet.put(doc, v.Strings)
		}
		if n.ints != nil {
			m.bytes += n.ints.put(doc, v.Ints)
		}
		if n.floats != nil {
			m.bytes += n.floats.put(doc, v.Floats)
		}
		if f.Text() && f.Sort && len(v.Strings) > 0 {
			n.order = grow(n.order, doc)
			n.order[doc] = strings.Join(f.Analyzer().Words(v.Strings[0]), " ")
			m.bytes += int64(16 + len(n.order[doc]))
		}
	}
}

// occurrences collects the places of each word of a document's values.
func occurrences(f *schema.Field, values []string) map[string][]place {
	out := make(map[string][]place)
	for e, v := range values {
		if e >= 1<<15 {
			break
		}
		words := f.Analyzer().Tokens(v)
		for i, w := range words {
			pos := uint32(e)*elementStride + uint32(min(i, elementStride-1))
			places := out[w.Text]
			if n := len(places); n > 0 && places[n-1].pos == pos { // past the last numbered position
				continue
			}
			out[w.Text] = append(places, place{pos, i == len(words)-1})
		}
	}
	return out
}

func (m *Memory) addWords(v *vocabulary, doc uint32, f *schema.Field, values []string) {
	var buf []byte
	for word, places := range occurrences(f, values) {
		p, made := v.get(word)
		if made {
			m.terms++
			m.bytes += termBytes + 2*int64(len(word))
		}
		buf = encodePlaces(buf[:0], places)
		p.insert(doc, buf)
		m.bytes += postingBytes + int64(len(buf))
	}
}

func (m *Memory) remove(doc uint32, s *schema.Schema, t *schema.Typed) {
	for name, v := range t.Values {
		n, ok := m.fields[name]
		f, declared := s.Field(name)
		if !ok || !declared {
			continue
		}
		if n.words != nil {
			var words []string
			for _, text := range v.Strings {
				words = append(words, f.Analyzer().Words(text)...)
			}
			m.removeWords(n.words, doc, words)
		}
		if n.facet != nil {
			m.bytes -= n.facet.remove(doc)
		}
		if n.ints != nil {
			m.bytes -= n.ints.remove(doc)
		}
		if n.floats != nil {
			m.bytes -= n.floats.remove(doc)
		}
		if int(doc) < len(n.order) && n.order[doc] != "" {
			m.bytes -= int64(16 + len(n.order[doc]))
			n.order[doc] = ""
		}
	}
}

func (m *Memory) removeWords(v *vocabulary, doc uint32, words []string) {
	slices.Sort(words)
	for _, word := range slices.Compact(words) {
		p, ok := v.terms[word]
		if !ok {
			continue
		}
		if n := p.remove(doc); n >= 0 {
			m.bytes -= postingBytes + int64(n)
		}
		if p.n == 0 {
			v.drop(word)
			m.terms--
			m.bytes -= termBytes + 2*int64(len(word))
		}
	}
}

// Stats implements Index.
func (m *Memory) Stats() Stats {
	m.mu.RLock()
	defer m.mu.RUnlock()
	live := int(m.live.GetCardinality())
	return Stats{Documents: live, Dead: len(m.seq) - live, Terms: m.terms, Bytes: m.bytes}
}
