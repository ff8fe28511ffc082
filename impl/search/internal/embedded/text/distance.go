package text

import (
	"slices"
	"unicode/utf8"
)

// Cost is the cost of a word of the vocabulary as a match for a word of the query.
type Cost struct {
	// Typos is the number of edits (insertion, deletion, substitution, transposition of adjacent letters).
	Typos int
	// Prefix reports that the query's word matches only a prefix of the vocabulary's word.
	Prefix bool
}

// Matcher compares words with one word of a query. Consecutive words should share prefixes, as they do in sorted order, because the states
// of the common prefix are kept. It is not safe for concurrent use.
//
// The cost of word w for query q is the smaller of two distances: that of q to the whole of w and, if prefixes are allowed, that of q to
// any prefix of w that is at least as long as q.
//
// It is an automaton whose states are rows of the distance table, which are computed when they are first reached. A word that follows known
// states costs one lookup per letter.
type Matcher struct {
	query  []rune
	max    int
	prefix bool
	// letters maps the letters of the query to classes. All other letters have class 0.
	letters map[rune]int
	ascii   [128]uint8
	classes int

	states []matchState
	known  map[string]int32
	key    []byte

	word string  // the last word
	path []int32 // path[i] is the state after i bytes of it; set only at the ends of its letters
	size int     // the number of bytes of word that path covers
}

// matchState is a row of the distance table, with everything on which the next row depends.
type matchState struct {
	row, before []uint8 // distances, at most max+1; before is the previous row
	class       uint8   // of the last letter
	depth       uint8   // letters so far, at most as many as the query has
	best        uint8   // the smallest cost of a prefix so far, at most max+1
	dead        bool    // no word that reaches this state can match
	next        []int32 // by class; 0: not computed yet
}

// NewMatcher returns a matcher for query with at most max edits.
func NewMatcher(query string, max int, prefix bool) *Matcher {
	m := &Matcher{query: []rune(query), max: max, prefix: prefix, letters: make(map[rune]int), known: make(map[string]int32), classes: 1}
	for _, r := range m.query {
		if m.letters[r] > 0 {
			continue
		}
		m.letters[r] = m.classes
		if r < 128 {
			m.ascii[r] = uint8(m.classes)
		}
		m.classes++
	}
	first := matchState{row: make([]uint8, len(m.query)+1), before: make([]uint8, len(m.query)+1), best: uint8(max + 1)}
	for j := range first.row {
		first.row[j] = m.capped(j)
		first.before[j] = uint8(max + 1)
	}
	m.states = append(m.states, matchState{}) // 0 is not a state
	m.path = append(m.path[:0], m.state(first))
	return m
}

func (m *Matcher) capped(v int) uint8 { return uint8(min(v, m.max+1)) }

// state returns the number of a state. A new state is completed and stored.
func (m *Matcher) state(s matchState) int32 {
	last := int(s.row[len(m.query)])
	if m.prefix && int(s.depth) >= len(m.query) && last < int(s.best) {
		s.best = uint8(last)
	}
	m.key = append(append(append(m.key[:0], s.row...), s.before...), s.class, s.depth, s.best)
	if n, ok := m.known[string(m.key)]; ok {
		return n
	}
	s.dead = int(s.best) > m.max && !slices.ContainsFunc(s.row, m.within) && !slices.ContainsFunc(s.before, m.within)
	s.next = make([]int32, m.classes)
	n := int32(len(m.states))
	m.known[string(m.key)] = n
	m.states = append(m.states, s)
	return n
}

func (m *Matcher) within(v uint8) bool { return int(v) <= m.max }

// step returns the state after a letter.
func (m *Matcher) step(from int32, class int) int32 {
	if n := m.states[from].next[class]; n > 0 {
		return n
	}
	s := m.states[from]
	row := make([]uint8, len(m.query)+1)
	row[0] = m.capped(int(s.row[0]) + 1)
	for j := 1; j < len(row); j++ {
		own := m.letters[m.query[j-1]]
		v := int(s.row[j-1])
		if own != class {
			v++
		}
		v = min(v, int(s.row[j])+1, int(row[j-1])+1)
		if j > 1 && class > 0 && own == int(s.class) && m.letters[m.query[j-2]] == class {
			v = min(v, int(s.before[j-2])+1)
		}
		row[j] = m.capped(v)
	}
	n := m.state(matchState{row: row, before: s.row, class: uint8(class), depth: uint8(min(int(s.depth)+1, len(m.query))), best: s.best})
	m.states[from].next[class] = n
	return n
}

// Match compares a word. ok reports whether the cost is at most the matcher's maximum. If not, dead is the length in bytes of the shortest
// prefix of word with which no match can start, or 0 if there is none.
func (m *Matcher) Match(word string) (cost Cost, ok bool, dead int) {
	at := m.shared(word)
	state := m.path[at]
	for at < len(word) {
		if m.states[state].dead {
			m.keep(word, at)
			return Cost{}, false, at
		}
		class, size := 0, 1
		if c := word[at]; c < utf8.RuneSelf {
			class = int(m.ascii[c])
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(word[at:])
			class = m.letters[r]
		}
		state = m.step(state, class)
		for range size {
			m.path = append(m.path, state)
		}
		at += size
	}
	m.keep(word, at)
	s := &m.states[state]
	typos := int(min(s.row[len(m.query)], s.best))
	switch {
	case typos <= m.max:
		return Cost{Typos: typos, Prefix: utf8.RuneCountInString(word) > len(m.query)+typos}, true, 0
	case s.dead:
		return Cost{}, false, len(word)
	}
	return Cost{}, false, 0
}

// shared returns how many bytes of word, in whole letters, it has in common with the last word whose states are known.
func (m *Matcher) shared(word string) int {
	most := min(m.size, len(word))
	at := 0
	for at < most && word[at] == m.word[at] {
		at++
	}
	for at > 0 && at < len(word) && !utf8.RuneStart(word[at]) {
		at--
	}
	m.path = m.path[:at+1]
	return at
}

func (m *Matcher) keep(word string, size int) { m.word, m.size = word, size }
