package text

import (
	"strings"
	"testing"
)

// BenchmarkTokens measures a title of four words, and a text of 32 words, some with accents or special characters.
func BenchmarkTokens(b *testing.B) {
	a := New(nil, nil)
	for name, s := range map[string]string{"title": "four words of title", "text": strings.Repeat("Crème word foo/bar Hello ", 8)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Tokens(s)
			}
		})
	}
}
