// Package text splits a string into the words that are indexed and searched.
//
// As Typesense documents, special characters are removed from a word and do not split it ("foo/bar" is the word "foobar"), unless they are
// configured as separators or as symbols to index.
package text

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxWordBytes limits the length of a word. The rest of a longer word is not indexed, so that a document without white space can't fill the
// vocabulary.
const MaxWordBytes = 256

// Token is a word of a text.
type Token struct {
	// Text is the normalised word: folded, in lower case, without special characters.
	Text string
	// Start and End are the byte offsets of the word in the text, without special characters at its ends.
	Start, End int
}

// Analyzer splits and normalises texts. It is immutable and safe for concurrent use.
type Analyzer struct {
	inWord  func(r rune) bool
	strip   stripFilter
	filters []filter // in the order of application, strip first
}

// word is a word that passes through the filters. It owns its bytes.
type word struct {
	term       []byte
	start, end int // like Token.Start and Token.End
}

// filter changes words, removes some, or splits one into several. It may modify the words that it is given.
type filter interface{ apply(words []word) []word }

// New returns an analyzer for a field. separators split words in addition to white space. symbols are kept as part of words. Both lists
// contain single characters.
func New(separators, symbols []string) *Analyzer {
	return For(Rules{Separators: separators, Symbols: symbols})
}

// Rules are the properties of a field that affect its texts.
type Rules struct {
	Separators, Symbols []string
	// Locale is a language code. For tr and az the dotless i is kept. For el accents are removed. Texts in th, zh and ja are split into
	// pairs of letters where no white space separates words. Every pair of a query must then be found, so that no dictionary is needed.
	Locale string
	// Stem reduces words to their stems by Snowball's rules for the locale, or for English without a locale. Words of a language without
	// rules are kept.
	Stem bool
	// Dictionary reduces words to their roots instead. A word that it does not contain is kept, as documented. Nil is none.
	Dictionary *Dictionary
}

// For returns the analyzer for the rules of a field.
func For(r Rules) *Analyzer {
	separators, symbols, language := r.Separators, r.Symbols, ""
	if r.Stem && r.Dictionary == nil {
		if language = r.Locale; language == "" {
			language = "en"
		}
	}
	split, keep := runes(separators), runes(symbols)
	for r := range keep {
		delete(split, r)
	}
	inWord := func(r rune) bool { return !unicode.IsSpace(r) && !split[r] }
	strip := stripFilter{keep: keep}
	fold := foldFilter{dotless: r.Locale == "tr" || r.Locale == "az"}
	filters := []filter{strip, fold, lowerFilter{}}
	if stem := stemmers[language]; stem != nil {
		filters = []filter{strip, lowerFilter{}, stemFilter{stem}, fold}
	}
	if r.Locale == "el" {
		filters = append(filters, accentFilter{})
	}
	if r.Dictionary != nil {
		filters = append(filters, rootFilter(r.Dictionary.roots(r, &Analyzer{inWord, strip, slices.Clone(filters)})))
	}
	switch r.Locale {
	case "th", "zh", "ja":
		filters = append(filters, pairFilter{})
	}
	return &Analyzer{inWord, strip, filters}
}

func runes(list []string) map[rune]bool {
	set := make(map[rune]bool, len(list))
	for _, s := range list {
		r, _ := utf8.DecodeRuneInString(s)
		set[r] = true
	}
	return set
}

// Tokens returns the words of s in order. A sequence of special characters only is not a word.
func (a *Analyzer) Tokens(s string) []Token {
	if s == "" {
		return nil
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		s = replaceInvalid(s)
	}
	words := a.split([]byte(s))
	for _, f := range a.filters {
		words = f.apply(words)
	}
	out := make([]Token, 0, len(words))
	for _, w := range words {
		if len(w.term) > 0 {
			out = append(out, Token{Text: string(w.term), Start: w.start, End: w.end})
		}
	}
	return out
}

// split splits a text at separators. The words share its bytes, but can't be extended into each other.
func (a *Analyzer) split(text []byte) []word {
	words, start := make([]word, 0, len(text)/6+1), 0 // an estimate
	end := func(at int) {
		if at > start {
			words = append(words, word{text[start:at:at], start, at})
		}
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if !a.inWord(r) {
			end(i)
			start = i + size
		}
		i += size
	}
	end(len(text))
	return words
}

// Letters returns the number of bytes of s that contain its first n characters other than special characters.
func (a *Analyzer) Letters(s string, n int) int {
	for i, r := range s {
		if a.strip.kept(r) {
			n--
		}
		if n == 0 {
			return i + utf8.RuneLen(r)
		}
	}
	return len(s)
}

// Words returns only the normalised words of s.
func (a *Analyzer) Words(s string) []string {
	tokens := a.Tokens(s)
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.Text
	}
	return out
}

// replaceInvalid replaces invalid bytes and replacement characters by spaces, such that all offsets are preserved.
func replaceInvalid(s string) string {
	b := []byte(s)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError {
			for j := range n {
				b[i+j] = ' '
			}
		}
		i += n
	}
	return string(b)
}

// stripFilter removes special characters, and moves the offsets to the first and the last character that remains.
type stripFilter struct{ keep map[rune]bool }

func (f stripFilter) kept(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || f.keep[r]
	}
	return (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) && !pointing(r)) || emoji(r) || f.keep[r]
}

// pointing reports whether r is a Hebrew point or an Arabic vowel sign. Texts are written with and without these, and compared without
// them.
func pointing(r rune) bool {
	return unicode.Is(unicode.Mn, r) && (r >= 0x0591 && r <= 0x05C7 || r >= 0x0610 && r <= 0x061A || r >= 0x064B && r <= 0x065F || r == 0x0670 || r >= 0x06D6 && r <= 0x06ED)
}

// emoji reports whether r is a pictograph, which is kept like a letter: the blocks of symbols and dingbats, and those in the supplementary
// plane.
func emoji(r rune) bool {
	return r >= 0x2600 && r <= 0x27BF || r >= 0x1F000 && r <= 0x1FAFF
}

func (f stripFilter) apply(words []word) []word {
	out := words[:0]
	for _, w := range words {
		if f.strip(&w) {
			out = append(out, w)
		}
	}
	return out
}

func (f stripFilter) strip(w *word) bool {
	term, first, last, n := w.term, -1, 0, 0
	for i := 0; i < len(term); {
		r, size := utf8.DecodeRune(term[i:])
		if f.kept(r) {
			if first < 0 {
				first = i
			}
			if n+size <= MaxWordBytes {
				n += copy(term[n:], term[i:i+size])
				last = i + size
			}
		}
		i += size
	}
	if first < 0 {
		return false
	}
	w.term, w.start, w.end = term[:n], w.start+first, w.start+last
	return true
}

// lowerFilter converts letters to lower case.
type lowerFilter struct{}

func (lowerFilter) apply(words []word) []word {
	for i := range words {
		words[i].term = lower(words[i].term)
	}
	return words
}

// lower is bytes.ToLower, but in place if all is ASCII.
func lower(term []byte) []byte {
	for i, c := range term {
		if c >= utf8.RuneSelf {
			return bytes.ToLower(term)
		}
		if c >= 'A' && c <= 'Z' {
			term[i] = c + 'a' - 'A'
		}
	}
	return term
}

// foldFilter removes accents and typographic variants from Latin letters. Other scripts are not changed.
type foldFilter struct {
	// dotless keeps the small dotless i, which in Turkish is a letter of its own.
	dotless bool
}

const dotless = "\u0131"

func (f foldFilter) apply(words []word) []word {
	for i, w := range words {
		if !ascii(w.term) {
			words[i].term = f.folded(norm.NFC.Bytes(w.term))
		}
	}
	return words
}

func (f foldFilter) folded(term []byte) []byte {
	if !f.dotless || !bytes.Contains(term, []byte(dotless)) {
		return dropLatinMarks(fold(term))
	}
	parts := bytes.Split(term, []byte(dotless))
	for i, p := range parts {
		parts[i] = dropLatinMarks(fold(p))
	}
	return bytes.Join(parts, []byte(dotless))
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// dropLatinMarks removes combining marks after an ASCII letter, because folding knows only composed letters.
func dropLatinMarks(b []byte) []byte {
	if ascii(b) {
		return b
	}
	out, latin := b[:0], false
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		mark := unicode.Is(unicode.Mn, r)
		if !(mark && latin) {
			out = append(out, b[i:i+size]...)
		}
		if !mark {
			latin = r < utf8.RuneSelf
		}
		i += size
	}
	return out
}
