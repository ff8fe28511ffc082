package contract

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string; the cursor is on the opening quote.
func (t *tape) str() *syntaxError {
	t.at++
	start := t.at
	end, wide := plainRun(t.source, start)
	t.at = end
	switch {
	case t.next() == '\\':
		return t.escaped(start)
	case t.next() != '"':
		return t.fail(RuleJSONSyntax)
	case wide && !utf8.ValidString(t.source[start:end]):
		return faultAt(RuleJSONUTF8, start)
	}
	t.at++
	t.push(kindString, start, end, wide)
	return nil
}

// Words whose bytes are all the same.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plainRun returns the position of the first quote, backslash or control character from at on, or the end, and whether there are bytes beyond ASCII
// before it. It examines eight bytes at a time.
func plainRun(s string, at int) (end int, wide bool) {
	var seen uint64
	for at+8 <= len(s) {
		w := eightBytes(s[at:])
		quote, slash := w^'"'*ones, w^'\\'*ones
		// The high bit of a byte is set where the byte is below 0x20 or equals one of the two; a borrow may set it for a later byte, too.
		if ((w-0x20*ones)&^w|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			break
		}
		seen |= w
		at += 8
	}
	for ; at < len(s); at++ {
		c := s[at]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		seen |= uint64(c)
	}
	return at, seen&highs != 0
}

// escaped reads the rest of a string with escapes; the cursor is on the first backslash.
func (t *tape) escaped(start int) *syntaxError {
	begin := len(t.scratch)
	t.scratch = room(t.scratch, len(t.source)-start) // what is decoded is never longer
	t.scratch = append(t.scratch, t.source[start:t.at]...)
	for {
		switch t.next() {
		case '"':
			text := aliased(t.scratch[begin:])
			if !utf8.ValidString(text) {
				return faultAt(RuleJSONUTF8, start)
			}
			t.at++
			t.push(kindString, begin, len(t.scratch), !ascii(text))
			t.tokens[len(t.tokens)-1].decoded = true
			return nil
		case '\\':
			r, err := t.escape()
			if err != nil {
				return err
			}
			t.scratch = utf8.AppendRune(t.scratch, r)
		default:
			end, _ := plainRun(t.source, t.at)
			if end == t.at { // the end of the text, or a control character
				return t.fail(RuleJSONSyntax)
			}
			t.scratch = append(t.scratch, t.source[t.at:end]...)
			t.at = end
		}
	}
}

var shortEscapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one escape; a surrogate pair is one rune.
func (t *tape) escape() (rune, *syntaxError) {
	if t.at+1 >= len(t.source) {
		return 0, t.fail(RuleJSONSyntax)
	}
	if r, ok := shortEscapes[t.source[t.at+1]]; ok {
		t.at += 2
		return r, nil
	}
	r, ok := t.hex4()
	if !ok {
		return 0, t.fail(RuleJSONSyntax)
	}
	if r == 0 {
		return 0, t.fail(RuleJSONNUL)
	}
	t.at += 6
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	low, ok := t.hex4()
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		t.at += 6
		return pair, nil
	}
	return 0, t.fail(RuleJSONUTF8)
}

// hex4 reads \uXXXX at the cursor without moving it.
func (t *tape) hex4() (rune, bool) {
	if t.at+6 > len(t.source) || t.source[t.at] != '\\' || t.source[t.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range t.source[t.at+2 : t.at+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
