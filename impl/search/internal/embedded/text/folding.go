package text

import (
	_ "embed" // folding.txt
	"strings"
	"sync"
	"unicode/utf8"
)

// foldings has a line for each text of ASCII letters, digits and signs: the text, a tab, and the characters that fold to it. They are those
// of Lucene's folding as in Bleve (Apache License 2.0). A test compares them with Bleve, which is not part of the program.
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

// fold replaces characters that have an ASCII form by that form, without accents and typographic variants.
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
