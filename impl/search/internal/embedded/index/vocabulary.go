package index

import (
	"slices"
	"sort"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// vocabularyBlock is the number of words at which a block is cut in two.
const vocabularyBlock = 256

// vocabulary is a field's words in order, with their postings.
type vocabulary struct {
	terms  map[string]*postings
	blocks [][]string
}

func newVocabulary() *vocabulary { return &vocabulary{terms: make(map[string]*postings)} }

func (v *vocabulary) blockFor(word string) int {
	i := sort.Search(len(v.blocks), func(k int) bool { return v.blocks[k][0] > word }) - 1
	return max(i, 0)
}

// get returns the postings of word and makes them if need be; made says so.
func (v *vocabulary) get(word string) (p *postings, made bool) {
	if p, ok := v.terms[word]; ok {
		return p, false
	}
	word = strings.Clone(word)
	p = &postings{}
	v.terms[word] = p
	if len(v.blocks) == 0 {
		v.blocks = append(v.blocks, []string{word})
		return p, true
	}
	bi := v.blockFor(word)
	i, _ := slices.BinarySearch(v.blocks[bi], word)
	b := slices.Insert(v.blocks[bi], i, word)
	v.blocks[bi] = b
	if len(b) > vocabularyBlock {
		h := len(b) / 2
		v.blocks = slices.Insert(v.blocks, bi+1, slices.Clone(b[h:]))
		v.blocks[bi] = slices.Clip(b[:h])
	}
	return p, true
}

// drop removes a word.
func (v *vocabulary) drop(word string) {
	delete(v.terms, word)
	bi := v.blockFor(word)
	i, ok := slices.BinarySearch(v.blocks[bi], word)
	if !ok {
		return
	}
	v.blocks[bi] = slices.Delete(v.blocks[bi], i, i+1)
	if len(v.blocks[bi]) == 0 {
		v.blocks = slices.Delete(v.blocks, bi, bi+1)
	}
}

// walker goes through the words in order and can jump.
type walker struct {
	v     *vocabulary
	bi, i int
}

// from places the walker at the first word that is not less than word.
func (v *vocabulary) from(word string) walker {
	w := walker{v: v}
	if len(v.blocks) == 0 {
		return w
	}
	w.bi = v.blockFor(word)
	w.i, _ = slices.BinarySearch(v.blocks[w.bi], word)
	return w
}

func (w *walker) word() (string, bool) {
	for w.bi < len(w.v.blocks) {
		if w.i < len(w.v.blocks[w.bi]) {
			return w.v.blocks[w.bi][w.i], true
		}
		w.bi, w.i = w.bi+1, 0
	}
	return "", false
}

func (w *walker) next() { w.i++ }

// skip jumps over all words that begin with prefix; the walker stands on such a word.
func (w *walker) skip(prefix string) {
	past := func(s string) bool { return s > prefix && !strings.HasPrefix(s, prefix) }
	if b := w.v.blocks[w.bi]; past(b[len(b)-1]) {
		w.i += sort.Search(len(b)-w.i, func(k int) bool { return past(b[w.i+k]) })
		return
	}
	rest := w.v.blocks[w.bi+1:]
	k := sort.Search(len(rest), func(k int) bool { return past(rest[k][len(rest[k])-1]) })
	w.bi, w.i = w.bi+1+k, 0
	if w.bi < len(w.v.blocks) {
		b := w.v.blocks[w.bi]
		w.i = sort.Search(len(b), func(k int) bool { return past(b[k]) })
	}
}

// similar finds the words that match query with at most max typos and calls found for each.
func (v *vocabulary) similar(query string, max int, prefix bool, found func(word string, cost text.Cost)) {
	if max == 0 {
		v.literal(query, prefix, found)
		return
	}
	m := text.NewMatcher(query, max, prefix)
	w := v.from("")
	for {
		word, ok := w.word()
		if !ok {
			return
		}
		cost, ok, dead := m.Match(word)
		switch {
		case ok:
			found(word, cost)
			w.next()
		case dead > 0:
			w.skip(word[:dead])
		default:
			w.next()
		}
	}
}

func (v *vocabulary) literal(query string, prefix bool, found func(word string, cost text.Cost)) {
	if !prefix {
		if _, ok := v.terms[query]; ok {
			found(query, text.Cost{})
		}
		return
	}
	w := v.from(query)
	for {
		word, ok := w.word()
		if !ok || !strings.HasPrefix(word, query) {
			return
		}
		found(word, text.Cost{Prefix: len(word) > len(query)})
		w.next()
	}
}
