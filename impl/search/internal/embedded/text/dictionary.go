package text

import (
	"fmt"
	"sync"
)

// Stem maps a Word to its Root.
type Stem struct {
	Root string `json:"root"`
	Word string `json:"word"`
}

// Dictionary maps words to their roots. It is immutable and safe for concurrent use.
type Dictionary struct {
	stems []Stem

	mu sync.Mutex
	// made caches the roots, normalised by the analyzers of fields, by the rules of the analyzer. Fields with the same rules share them.
	made map[string]map[string]string
}

// NewDictionary returns a dictionary of stems. If a word has several entries, the last one is used. An entry whose word or root is not a
// single word for a field's analyzer has no effect there.
func NewDictionary(stems []Stem) *Dictionary {
	return &Dictionary{stems: stems, made: map[string]map[string]string{}}
}

// roots returns the entries with their words normalised by a, which is the analyzer for r without the dictionary.
func (d *Dictionary) roots(r Rules, a *Analyzer) map[string]string {
	key := fmt.Sprintf("%q %q %q", r.Separators, r.Symbols, r.Locale)
	d.mu.Lock()
	defer d.mu.Unlock()
	if roots, ok := d.made[key]; ok {
		return roots
	}
	roots := make(map[string]string, len(d.stems))
	for _, s := range d.stems {
		word, root := a.Words(s.Word), a.Words(s.Root)
		if len(word) == 1 && len(root) == 1 {
			roots[word[0]] = root[0]
		}
	}
	d.made[key] = roots
	return roots
}

// rootFilter replaces words by their roots. It runs after accents are removed, so that a word matches its entry with and without them.
type rootFilter map[string]string

func (f rootFilter) apply(words []word) []word {
	for i, w := range words {
		if root, ok := f[string(w.term)]; ok {
			words[i].term = []byte(root)
		}
	}
	return words
}
