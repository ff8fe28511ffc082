package password

import (
	"math"
	"slices"
	"unicode"

	"github.com/fountainai/fountain/impl/kms/internal/password/blocklist"
)

// enough is the required strength of a password: 10^10 guesses by an attacker who first tries words, names, dates, keyboard runs and variants of them.
// One guess costs 45 ms of a core against a stolen database, and far more at the login.
var enough = math.Log2(1e10)

// The costs of the pieces of a password for the attacker, in bits. The cost of a word is its rank on the block list.
const (
	wordLeast    = 7.0  // even for the most common word, since the attacker does not know where words begin
	contextBits  = 4.0  // the username, the service's name
	leetBits     = 2.0  // added for pa55w0rd
	reversedBits = 1.0  // added for drowssap
	copyBits     = 4.0  // a repeat of earlier text
	stepBits     = 6.0  // 12345, fedcba
	strideBits   = 8.0  // 2468, acegi
	walkBits     = 6.0  // adjacent keys in one direction
	turnBits     = 2.0  // added for each change of direction
	yearBits     = 7.0  // 1900 to 2099
	dateBits     = 14.0 // 251126
	longDateBits = 15.0 // 25112026, 25.11.2026
	doubledBits  = 6.0  // added for ppaasswwoorrdd
)

// kind is the kind of a piece of a password; as a bit set, the kinds of all pieces.
type kind uint8

const (
	own     kind = 0 // characters in no other piece
	word    kind = 1 << iota
	named        // the username, the service
	pattern      // copy, sequence, keyboard, date
)

// estimate returns the cost of the cheapest description of the text in bits, and the kinds of its pieces. Any result of at least enough bits may be too
// low, since the search may stop there.
func estimate(text []rune, names map[blocklist.Hash]bool) (bits float64, made kind) {
	s := newSplit(text, names)
	bits, made = s.solve()
	if few := fewCharacters(text); few < bits {
		bits, made = few, pattern
	}
	squeezed := slices.Compact(slices.Clone(text))
	if 3*len(squeezed) <= 2*len(text) {
		if b, m := newSplit(squeezed, names).solve(); b+doubledBits < bits {
			bits, made = b+doubledBits, m|pattern
		}
	}
	return bits, made
}

// fewCharacters returns the cost of naming the distinct characters and then choosing one of them for each position.
func fewCharacters(text []rune) float64 {
	distinct := map[rune]bool{}
	for _, r := range text {
		distinct[r] = true
	}
	k := float64(len(distinct))
	return float64(len(text))*math.Log2(k) + 5*k
}

// split searches the cheapest division of a text into pieces. cost[i] is the cost of the first i code points; the last piece of that division
// begins at from[i].
type split struct {
	text  []rune
	names map[blocklist.Hash]bool
	leet  [][]rune
	cost  []float64
	from  []int
	kind  []kind
}

func newSplit(text []rune, names map[blocklist.Hash]bool) *split {
	n := len(text)
	s := &split{text: text, names: names, leet: leetForms(text), cost: make([]float64, n+1), from: make([]int, n+1), kind: make([]kind, n+1)}
	for i := 1; i <= n; i++ {
		s.cost[i] = math.Inf(1)
	}
	return s
}

// piece offers text[i:j] as one piece. cost[i] must be final.
func (s *split) piece(i, j int, bits float64, k kind) {
	if c := s.cost[i] + bits; c < s.cost[j] {
		s.cost[j], s.from[j], s.kind[j] = c, i, k
	}
}

// solve returns the cost of the whole text and the kinds of its pieces. It stops early, with a lower bound of at least enough bits, once no rest of the text
// can make it cheaper.
func (s *split) solve() (bits float64, made kind) {
	n := len(s.text)
	copies := repeats(s.text)
	for i := 0; i <= n; i++ {
		s.reversedWords(i) // these end at i, so they come before pieces that begin there
		if i == n {
			break
		}
		if least := s.least(i); least >= enough {
			return least, own
		}
		s.piece(i, i+1, characterBits(s.text[i]), own)
		s.words(i)
		for k := 3; k <= copies[i]; k++ {
			s.piece(i, i+k, copyBits, pattern)
		}
		s.steps(i)
		s.walks(i)
		s.dates(i)
	}
	for i := n; i > 0; i = s.from[i] {
		made |= s.kind[i]
	}
	return s.cost[n], made
}

// least returns a lower bound of the cost of the whole text, once cost[i] is final. A piece that spans i begins at most MaxLength before it, if it is a word.
// Any other kind of piece could be cut at i without a higher cost.
func (s *split) least(i int) float64 {
	return slices.Min(s.cost[max(0, i-blocklist.MaxLength) : i+1])
}

// words offers the listed words and names that begin at i, as they are and in l33t spelling.
func (s *split) words(i int) {
	end := min(len(s.text), i+blocklist.MaxLength)
	plain := blocklist.Empty
	for k := i; k < end; k++ {
		plain = plain.Add(s.text[k])
		s.look(plain, i, k+1, 0)
	}
	for _, form := range s.leet {
		h, changed := blocklist.Empty, false
		for k := i; k < end; k++ {
			h = h.Add(form[k])
			if changed = changed || form[k] != s.text[k]; changed {
				s.look(h, i, k+1, leetBits)
			}
		}
	}
}

// reversedWords offers the listed words and names that end at j and are written backwards.
func (s *split) reversedWords(j int) {
	h := blocklist.Empty
	for i := j - 1; i >= max(0, j-blocklist.MaxLength); i-- {
		h = h.Add(s.text[i])
		s.look(h, i, j, reversedBits)
	}
}

func (s *split) look(h blocklist.Hash, i, j int, added float64) {
	if s.names[h] {
		s.piece(i, j, contextBits+added, named)
		return
	}
	if j-i < blocklist.MinLength {
		return
	}
	if rank, found := blocklist.Lookup(h); found {
		s.piece(i, j, max(float64(rank), wordLeast)+added, word)
	}
}

// characterBits returns the cost of a character that is part of no piece. Case does not count, since an attacker tries the usual variants.
func characterBits(r rune) float64 {
	switch {
	case r >= '0' && r <= '9':
		return 3.32
	case r >= 'a' && r <= 'z':
		return 4.7
	case r <= unicode.MaxASCII || unicode.IsLetter(r):
		return 5
	}
	return 6
}

// leetForms returns the distinct readings of a text in which digits and marks stand for letters; nil when it has none.
func leetForms(text []rune) [][]rune {
	var forms [][]rune
	for _, table := range leetTables {
		form := slices.Clone(text)
		for i, r := range form {
			if letter, ok := table[r]; ok {
				form[i] = letter
			}
		}
		if !slices.Equal(form, text) && !slices.ContainsFunc(forms, func(f []rune) bool { return slices.Equal(f, form) }) {
			forms = append(forms, form)
		}
	}
	return forms
}

var leetTables = []map[rune]rune{
	{'4': 'a', '@': 'a', '8': 'b', '(': 'c', '3': 'e', '6': 'g', '9': 'g', '1': 'i', '!': 'i', '|': 'i', '0': 'o', '5': 's', '$': 's', '7': 't', '+': 't', '%': 'x', '2': 'z'},
	{'4': 'a', '@': 'a', '8': 'b', '(': 'c', '3': 'e', '6': 'b', '9': 'q', '1': 'l', '!': 'l', '|': 'l', '0': 'o', '5': 's', '$': 's', '7': 'l', '+': 't', '%': 'x', '2': 'z'},
}

// repeats returns for each position how many code points from there on also occur somewhere before it.
func repeats(text []rune) []int {
	n := len(text)
	longest := make([]int, n)
	next := make([]int, n+1) // next[j]: length of the common prefix of text[i+1:] and text[j:]
	for i := n - 1; i > 0; i-- {
		for j := range i { // ascending: next[j+1] still belongs to i+1
			if text[i] != text[j] {
				next[j] = 0
				continue
			}
			next[j] = next[j+1] + 1
			longest[i] = max(longest[i], next[j])
		}
	}
	return longest
}
