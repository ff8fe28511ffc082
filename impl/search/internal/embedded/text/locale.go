package text

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// accentFilter removes the accents from letters of every script.
type accentFilter struct{}

func (accentFilter) apply(words []word) []word {
	for i, w := range words {
		if ascii(w.term) {
			continue
		}
		var out []byte
		for _, r := range string(norm.NFD.Bytes(w.term)) {
			if !unicode.Is(unicode.Mn, r) {
				out = utf8.AppendRune(out, r)
			}
		}
		words[i].term = norm.NFC.Bytes(out)
	}
	return words
}

// pairFilter splits words of scripts without white space into overlapping pairs of letters. A combining mark belongs to the letter before
// it.
type pairFilter struct{}

func unspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// The pairs are taken from the normalised word, and only if its letters are as long as in the text.
func (pairFilter) apply(words []word) []word {
	out := make([]word, 0, len(words))
	for _, w := range words {
		letters := lettersOf(w.term)
		first, _ := utf8.DecodeRune(w.term)
		if len(letters) < 3 || !unspaced(first) || w.end-w.start != len(w.term) {
			out = append(out, w)
			continue
		}
		for i := 0; i+2 < len(letters); i++ {
			out = append(out, word{w.term[letters[i]:letters[i+2]], w.start + letters[i], w.start + letters[i+2]})
		}
	}
	return out
}

// lettersOf returns the start of each letter, and the end of the word.
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
