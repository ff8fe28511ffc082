package text

// Cost is what a word of the vocabulary costs as a match of a word of the query.
type Cost struct {
	// Typos is the number of edits (insertion, deletion, substitution, transposition of neighbours).
	Typos int
	// Prefix says that the query's word stands for a part of the vocabulary's word only.
	Prefix bool
}

// Matcher measures words against one word of a query. Words must be given so that neighbours share prefixes (sorted
// order is best): the rows of the common part are kept. It is not safe for concurrent use.
//
// The cost of word w for query q is the smaller of the distance of q to the whole of w and, if prefixes are allowed,
// of the distance of q to any prefix of w that is at least as long as q.
type Matcher struct {
	query  []rune
	max    int
	prefix bool
	word   []rune
	rows   [][]int
	// best[d] is the smallest prefix cost up to depth d.
	best []int
}

// NewMatcher returns a matcher for query with at most max edits.
func NewMatcher(query string, max int, prefix bool) *Matcher {
	m := &Matcher{query: []rune(query), max: max, prefix: prefix}
	first := make([]int, len(m.query)+1)
	for j := range first {
		first[j] = j
	}
	m.rows = append(m.rows, first)
	m.best = append(m.best, m.prefixCost(0, max+1))
	return m
}

func (m *Matcher) prefixCost(depth, best int) int {
	if m.prefix && depth >= len(m.query) && m.rows[depth][len(m.query)] < best {
		return m.rows[depth][len(m.query)]
	}
	return best
}

// Match measures word. ok says that the cost is at most the matcher's maximum. When it is not, dead is the length in
// bytes of the shortest prefix of word that no match can begin with, or 0 when there is none.
func (m *Matcher) Match(word string) (cost Cost, ok bool, dead int) {
	depth, keep := 0, true
	for i, r := range word {
		if keep && depth < len(m.word) && m.word[depth] == r {
			depth++
			continue
		}
		if keep {
			m.word, m.rows, m.best = m.word[:depth], m.rows[:depth+1], m.best[:depth+1]
			keep = false
		}
		if m.dead() {
			return Cost{}, false, i
		}
		m.push(r)
		depth++
	}
	m.word, m.rows, m.best = m.word[:depth], m.rows[:depth+1], m.best[:depth+1]
	typos := min(m.rows[depth][len(m.query)], m.best[depth])
	if typos <= m.max {
		return Cost{Typos: typos, Prefix: depth > len(m.query)+typos}, true, 0
	}
	if m.dead() {
		return Cost{}, false, len(word)
	}
	return Cost{}, false, 0
}

// dead says that no word that begins with the current prefix can match.
func (m *Matcher) dead() bool {
	depth := len(m.word)
	if m.best[depth] <= m.max {
		return false
	}
	for _, row := range m.rows[max(0, depth-1):] {
		for _, v := range row {
			if v <= m.max {
				return false
			}
		}
	}
	return true
}

func (m *Matcher) push(r rune) {
	prev := m.rows[len(m.rows)-1]
	row := make([]int, len(m.query)+1)
	row[0] = len(m.word) + 1
	for j := 1; j < len(row); j++ {
		sub := prev[j-1]
		if m.query[j-1] != r {
			sub++
		}
		row[j] = min(prev[j]+1, row[j-1]+1, sub)
		if j > 1 && len(m.word) > 0 && m.query[j-1] == m.word[len(m.word)-1] && m.query[j-2] == r {
			row[j] = min(row[j], m.rows[len(m.rows)-2][j-2]+1)
		}
	}
	m.word = append(m.word, r)
	m.rows = append(m.rows, row)
	m.best = append(m.best, m.prefixCost(len(m.word), m.best[len(m.best)-1]))
}
