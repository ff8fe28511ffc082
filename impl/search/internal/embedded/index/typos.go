package index

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// MostLetters is the maximum length of words that may have typos or be split.
const MostLetters = 100

// word is one word of the query.
type word struct {
	text string
	// Literal words (from a phrase) match only themselves.
	literal bool
	last    bool
	// levels[cost] holds the candidates with that many typos, as far as they were requested.
	levels [][]candidate
}

// possible reports whether a word has any candidates. Without them no combination can succeed.
func (s *search) possible(w *word, limit int) bool {
	for c := 0; c <= limit; c++ {
		if s.ctx.Err() != nil {
			return false
		}
		if len(s.candidates(w, c)) > 0 {
			return true
		}
	}
	return false
}

func (s *search) maxTypos(w *word) int {
	if w.literal || s.plan.NoTyposInNumbers && strings.IndexFunc(w.text, func(r rune) bool { return !unicode.IsDigit(r) }) < 0 {
		return 0
	}
	allowed := 0
	for _, f := range s.plan.Fields {
		allowed = max(allowed, f.NumTypos)
	}
	n := utf8.RuneCountInString(w.text)
	switch {
	case n > MostLetters, n < s.plan.MinLen1Typo:
		return 0
	case n < s.plan.MinLen2Typo:
		return min(allowed, 1)
	}
	return min(allowed, 2)
}

// candidates returns the most frequent words with exactly that many typos. Words with typos are found for all numbers of typos in one pass.
func (s *search) candidates(w *word, typos int) []candidate {
	if len(w.levels) == 0 {
		w.levels = append(w.levels, s.literal(w))
	}
	if len(w.levels) <= typos {
		w.levels = append(w.levels, s.misspelt(w, s.maxTypos(w))...)
	}
	return w.levels[typos]
}

// literal finds the word itself and, if prefixes are allowed, the words that start with it.
func (s *search) literal(w *word) []candidate {
	t := newTally(s)
	for i, a := range s.areas {
		for f, d := range a.words {
			switch {
			case d == nil:
			case s.prefix(w, f):
				d.withPrefix(w.text, func(term uint32) { t.add(i, d, f, term, boolInt(d.terms.at(term) != w.text)) })
			default:
				if term, ok := d.terms.search(w.text); ok {
					t.add(i, d, f, term, 0)
				}
			}
		}
	}
	return s.commonestOf(t, w)
}

func (s *search) prefix(w *word, field int) bool {
	return s.plan.Fields[field].Prefix && w.last && !w.literal
}

// misspelt finds the words with 1 to most typos.
func (s *search) misspelt(w *word, most int) [][]candidate {
	tallies := make([]*tally, most)
	for i := range tallies {
		tallies[i] = newTally(s)
	}
	for f, qf := range s.plan.Fields {
		limit := min(most, qf.NumTypos)
		if limit == 0 || s.ctx.Err() != nil {
			continue
		}
		m := text.NewMatcher(w.text, limit, s.prefix(w, f))
		for i, a := range s.areas {
			if d := a.words[f]; d != nil {
				d.similar(m, func(term uint32, cost text.Cost) {
					if cost.Typos > 0 {
						tallies[cost.Typos-1].add(i, d, f, term, 2*cost.Typos+boolInt(cost.Prefix))
					}
				})
			}
		}
	}
	out := make([][]candidate, most)
	for i, t := range tallies {
		out[i] = s.commonestOf(t, w)
	}
	return out
}

func (s *search) commonestOf(t *tally, w *word) []candidate {
	keep := max(s.plan.MaxCandidates, 1)
	if s.plan.Exhaustive {
		keep = len(t.byText)
	}
	return t.best(keep, w.text)
}
