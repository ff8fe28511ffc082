// Package text turns a string into the words that are indexed and searched.
//
// It stands on Bleve's analysis parts (character tokenizer, ASCII folding, lower-casing). What is our own is the rule
// that the Typesense documentation states and Bleve has no part for: special characters are removed from a word and do
// not split it ("foo/bar" is the word "foobar"), unless they are named as separators or as symbols to index.
package text

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/char/asciifolding"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/character"
	"golang.org/x/text/unicode/norm"
)

// MaxWordBytes bounds one word: the rest of a longer one is not indexed, so that a document without blanks can't fill
// the vocabulary.
const MaxWordBytes = 256

// Token is one word of a text.
type Token struct {
	// Text is the normalised word: folded, lower case, without special characters.
	Text string
	// Start and End are the byte offsets of the word in the text, without special characters at its ends.
	Start, End int
}

// Analyzer splits and normalises texts. It is immutable and safe for concurrent use.
type Analyzer struct {
	chain *analysis.DefaultAnalyzer
	strip stripFilter
}

// New returns an analyzer for a field. separators split words in addition to white space, symbols are kept as part of
// words; both lists hold single characters.
func New(separators, symbols []string) *Analyzer {
	return For(Rules{Separators: separators, Symbols: symbols})
}

// Rules are what a field's locale and flags say about its texts.
type Rules struct {
	Separators, Symbols []string
	// Locale is a language's code. For tr and az the i without a dot stays what it is. For el accents are taken off, and texts of th, zh and ja are cut into pairs of letters where no blank
	// parts words: every pair of a query must be found, and a dictionary is not needed.
	Locale string
	// Stem reduces words to their stems by Snowball's rules of the locale, of English without one; a language without rules keeps its words.
	Stem bool
	// Dictionary reduces words to their roots instead: a word that is not in it stays as it is, as documented. Nil is none.
	Dictionary *Dictionary
}

// For returns the analyzer of a field.
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
	fold := foldFilter{fold: asciifolding.New(), dotless: r.Locale == "tr" || r.Locale == "az"}
	filters := []analysis.TokenFilter{strip, fold, lowercase.NewLowerCaseFilter()}
	if stem := stemmers[language]; stem != nil {
		filters = []analysis.TokenFilter{strip, lowercase.NewLowerCaseFilter(), stemFilter{stem}, fold}
	}
	if r.Locale == "el" {
		filters = append(filters, accentFilter{})
	}
	analyzer := func(filters ...analysis.TokenFilter) *Analyzer {
		return &Analyzer{strip: strip, chain: &analysis.DefaultAnalyzer{Tokenizer: character.NewCharacterTokenizer(inWord), TokenFilters: filters}}
	}
	if r.Dictionary != nil {
		filters = append(filters, rootFilter(r.Dictionary.roots(r, analyzer(filters...))))
	}
	switch r.Locale {
	case "th", "zh", "ja":
		filters = append(filters, pairFilter{})
	}
	return analyzer(filters...)
}

func runes(list []string) map[rune]bool {
	set := make(map[rune]bool, len(list))
	for _, s := range list {
		r, _ := utf8.DecodeRuneInString(s)
		set[r] = true
	}
	return set
}

// Tokens returns the words of s in order. A word that holds only special characters is no word.
func (a *Analyzer) Tokens(s string) []Token {
	if s == "" {
		return nil
	}
	// The tokenizer ends at the replacement character, which is also what a broken encoding reads as.
	if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		s = replaceInvalid(s)
	}
	stream := a.chain.Analyze([]byte(s))
	out := make([]Token, 0, len(stream))
	for _, t := range stream {
		if len(t.Term) == 0 {
			continue
		}
		out = append(out, Token{Text: string(t.Term), Start: t.Start, End: t.End})
	}
	return out
}

// Letters returns how many bytes of s hold its first n characters that are not special.
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

// replaceInvalid puts blanks over undecodable bytes and replacement characters and keeps every offset.
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

// stripFilter removes special characters and moves the offsets to the first and the last character that stays.
type stripFilter struct{ keep map[rune]bool }

func (f stripFilter) kept(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || f.keep[r]
	}
	return (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) && !pointing(r)) || emoji(r) || f.keep[r]
}

// pointing says that r is a Hebrew point or an Arabic vowel sign: texts are written with and without them, and compared without.
func pointing(r rune) bool {
	return unicode.Is(unicode.Mn, r) && (r >= 0x0591 && r <= 0x05C7 || r >= 0x0610 && r <= 0x061A || r >= 0x064B && r <= 0x065F || r == 0x0670 || r >= 0x06D6 && r <= 0x06ED)
}

// emoji says that r is a picture, which is a word as letters are: the blocks of symbols and dingbats, and all from the supplementary plane.
func emoji(r rune) bool {
	return r >= 0x2600 && r <= 0x27BF || r >= 0x1F000 && r <= 0x1FAFF
}

// Filter implements analysis.TokenFilter.
func (f stripFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	out := in[:0]
	for _, t := range in {
		if f.strip(t) {
			out = append(out, t)
		}
	}
	return out
}

func (f stripFilter) strip(t *analysis.Token) bool {
	term, first, last, n := t.Term, -1, 0, 0
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
	t.Term, t.Start, t.End = term[:n], t.Start+first, t.Start+last
	return true
}

// foldFilter takes accents and typographic variants off Latin letters; other scripts stay as they are.
type foldFilter struct {
	fold *asciifolding.AsciiFoldingFilter
	// dotless keeps the small i without a dot, which is a letter of its own in Turkish and not an i that lacks something.
	dotless bool
}

const dotless = "\u0131"

// Filter implements analysis.TokenFilter.
func (f foldFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	for _, t := range in {
		if ascii(t.Term) {
			continue
		}
		t.Term = f.folded(norm.NFC.Bytes(t.Term))
	}
	return in
}

func (f foldFilter) folded(term []byte) []byte {
	if !f.dotless || !bytes.Contains(term, []byte(dotless)) {
		return dropLatinMarks(f.fold.Filter(term))
	}
	parts := bytes.Split(term, []byte(dotless))
	for i, p := range parts {
		parts[i] = dropLatinMarks(f.fold.Filter(p))
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

// dropLatinMarks removes a combining mark that follows an ASCII letter: folding knows only composed letters.
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
