package text

import (
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"golang.org/x/text/unicode/norm"
)

// accentFilter takes the accents off letters of every script.
type accentFilter struct{}

// Filter implements analysis.TokenFilter.
func (accentFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	for _, t := range in {
		if ascii(t.Term) {
			continue
		}
		var out []byte
		for _, r := range string(norm.NFD.Bytes(t.Term)) {
			if !unicode.Is(unicode.Mn, r) {
				out = utf8.AppendRune(out, r)
			}
		}
		t.Term = norm.NFC.Bytes(out)
	}
	return in
}

// pairFilter cuts words of scripts that have no blanks into overlapping pairs of letters. A mark belongs to the letter before it.
type pairFilter struct{}

func unspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// Filter implements analysis.TokenFilter. The pairs are those of the normalised word, whose letters are as long as in the text.
func (pairFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	out := make(analysis.TokenStream, 0, len(in))
	for _, t := range in {
		letters := lettersOf(t.Term)
		first, _ := utf8.DecodeRune(t.Term)
		if len(letters) < 3 || !unspaced(first) || t.End-t.Start != len(t.Term) {
			out = append(out, t)
			continue
		}
		for i := 0; i+2 < len(letters); i++ {
			pair := *t
			pair.Term = t.Term[letters[i]:letters[i+2]]
			pair.Start, pair.End = t.Start+letters[i], t.Start+letters[i+2]
			out = append(out, &pair)
		}
	}
	return out
}

// lettersOf returns where letters begin, and the end.
func lettersOf(word []byte) (at []int) {
	for i := 0; i < len(word); {
		r, size := utf8.DecodeRune(word[i:])
		if len(at) == 0 || !unicode.IsMark(r) {
			at = append(at, i)
		}
		i += size
	}
	return append(at, len(word))
}
