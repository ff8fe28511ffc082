package text

import (
	_ "embed" // folding.txt
	"strings"
	"sync"
	"unicode/utf8"
)

// foldings has a line for each text of ASCII letters, digits and signs: the text, a tab, and the characters that it stands for. They are those of Lucene's folding, as Bleve
// has it (Apache License 2.0); a test holds them against Bleve, which is not part of the program.
//
//go:embed folding.txt
var foldings string

// folded maps characters to what they fold to.
var folded = sync.OnceValue(func() map[rune]string {
	out := map[rune]string{}
	for line := range strings.Lines(foldings) {
		to, from, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		for _, r := range from {
			out[r] = to
		}
	}
	return out
})

// fold takes accents and typographic variants off characters that have a form in ASCII.
func fold(term []byte) []byte {
	out := make([]byte, 0, len(term))
	for _, r := range string(term) {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
		} else if to, ok := folded()[r]; ok {
			out = append(out, to...)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}
