package contract

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested in a JSON body.
const MaxDepth = 64

// maxNumber is the longest number literal read, in bytes.
const maxNumber = 128

// object is a JSON object in the order it was sent. Keys are unique.
type object struct {
	keys   []string
	values []any
	index  map[string]int // only for larger objects
}

func (o *object) get(key string) (any, bool) {
	if o.index != nil {
		i, ok := o.index[key]
		if !ok {
			return nil, false
		}
		return o.values[i], true
	}
	for i, k := range o.keys {
		if k == key {
			return o.values[i], true
		}
	}
	return nil, false
}

// fewMembers is for how many members an object has room from the beginning.
const fewMembers = 8

// add appends a member; it reports false when the key is there already.
func (o *object) add(key string, value any) bool {
	if _, taken := o.get(key); taken {
		return false
	}
	if o.keys == nil {
		o.keys, o.values = make([]string, 0, fewMembers), make([]any, 0, fewMembers)
	}
	o.keys, o.values = append(o.keys, key), append(o.values, value)
	switch {
	case o.index != nil:
		o.index[key] = len(o.keys) - 1
	case len(o.keys) > 16:
		o.index = make(map[string]int, 2*len(o.keys))
		for i, k := range o.keys {
			o.index[k] = i
		}
	}
	return true
}

// syntaxError says which rule of the JSON text was broken, at which byte, and within which value.
type syntaxError struct {
	rule   Rule
	offset int
	within []place // steps from the innermost value outwards, their parents unset
}

// in notes that the fault lies in a member or an item.
func (e *syntaxError) in(step place) *syntaxError {
	e.within = append(e.within, step)
	return e
}

// at returns the place of the fault.
func (e *syntaxError) at() *place {
	at := &place{}
	for _, step := range slices.Backward(e.within) {
		step.parent = at
		at = &step
	}
	return at
}

func (e *syntaxError) Error() string { return string(e.rule) + " at byte " + strconv.Itoa(e.offset) }

// parseJSON reads exactly one JSON text (RFC 8259) and nothing after it but white space. Values are nil, bool, json.Number
// (the digits as sent), string, []any and *object. It refuses what other parsers may read differently: duplicate keys,
// invalid UTF-8, lone surrogates, U+0000, nesting deeper than MaxDepth.
func parseJSON(text []byte) (any, *syntaxError) {
	p := &jsonParser{text: string(text)}
	if strings.HasPrefix(p.text, "\xEF\xBB\xBF") {
		return nil, p.fail(RuleJSONUTF8)
	}
	p.space()
	value, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at != len(p.text) {
		return nil, p.fail(RuleJSONTrailing)
	}
	return value, nil
}

// jsonParser reads from one copy of the text, of which strings and numbers are parts: they need no memory of their own.
type jsonParser struct {
	text string
	at   int
}

func (p *jsonParser) fail(rule Rule) *syntaxError { return faultAt(rule, p.at) }

func faultAt(rule Rule, offset int) *syntaxError { return &syntaxError{rule: rule, offset: offset} }

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next returns the byte at the cursor, or 0 at the end; 0 is never valid JSON outside an escape.
func (p *jsonParser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *jsonParser) value(depth int) (any, *syntaxError) {
	switch c := p.next(); {
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.array(depth + 1)
	case c == '"':
		return p.str()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return true, p.literal("true")
	case c == 'f':
		return false, p.literal("false")
	case c == 'n':
		return nil, p.literal("null")
	}
	return nil, p.fail(RuleJSONSyntax)
}

func (p *jsonParser) literal(word string) *syntaxError {
	if len(p.text)-p.at < len(word) || p.text[p.at:p.at+len(word)] != word {
		return p.fail(RuleJSONSyntax)
	}
	p.at += len(word)
	return nil
}

func (p *jsonParser) object(depth int) (any, *syntaxError) {
	if depth > MaxDepth {
		return nil, p.fail(RuleJSONDepth)
	}
	p.at++
	o := &object{}
	p.space()
	if p.next() == '}' {
		p.at++
		return o, nil
	}
	for {
		if p.next() != '"' {
			return nil, p.fail(RuleJSONSyntax)
		}
		start := p.at
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.next() != ':' {
			return nil, p.fail(RuleJSONSyntax)
		}
		p.at++
		p.space()
		value, err := p.value(depth)
		if err != nil {
			return nil, err.in(place{key: key})
		}
		if !o.add(key, value) {
			return nil, faultAt(RuleJSONDuplicateKey, start).in(place{key: key})
		}
		p.space()
		switch p.next() {
		case ',':
			p.at++
			p.space()
		case '}':
			p.at++
			return o, nil
		default:
			return nil, p.fail(RuleJSONSyntax)
		}
	}
}

func (p *jsonParser) array(depth int) (any, *syntaxError) {
	if depth > MaxDepth {
		return nil, p.fail(RuleJSONDepth)
	}
	p.at++
	list := []any{}
	p.space()
	if p.next() == ']' {
		p.at++
		return list, nil
	}
	for {
		value, err := p.value(depth)
		if err != nil {
			return nil, err.in(place{index: len(list), isItem: true})
		}
		list = append(list, value)
		p.space()
		switch p.next() {
		case ',':
			p.at++
			p.space()
		case ']':
			p.at++
			return list, nil
		default:
			return nil, p.fail(RuleJSONSyntax)
		}
	}
}

func (p *jsonParser) number() (any, *syntaxError) {
	start := p.at
	for p.at < len(p.text) && isNumberByte(p.text[p.at]) {
		p.at++
	}
	literal := p.text[start:p.at]
	if !numberLiteral(literal) {
		return nil, faultAt(RuleJSONSyntax, start)
	}
	if len(literal) > maxNumber {
		return nil, faultAt(RuleJSONNumber, start)
	}
	if strings.ContainsAny(literal, "eE") { // without an exponent maxNumber keeps it in range
		if _, err := strconv.ParseFloat(literal, 64); err != nil { // out of the range of any number we know
			return nil, faultAt(RuleJSONNumber, start)
		}
	}
	return json.Number(literal), nil
}

func isNumberByte(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// numberLiteral reports whether s is a number by the grammar of RFC 8259 section 6.
func numberLiteral(s string) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	digits := func() int {
		start := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i - start
	}
	first := i
	if n := digits(); n == 0 || (n > 1 && s[first] == '0') {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if digits() == 0 {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits() == 0 {
			return false
		}
	}
	return i == len(s)
}

// str reads a string; the cursor is on the opening quote.
func (p *jsonParser) str() (string, *syntaxError) {
	p.at++
	start := p.at
	for p.at < len(p.text) { // without escapes the text itself is the value
		c := p.text[p.at]
		switch {
		case c == '"':
			s := p.text[start:p.at]
			if !utf8.ValidString(s) {
				return "", faultAt(RuleJSONUTF8, start)
			}
			p.at++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail(RuleJSONSyntax)
		}
		p.at++
	}
	return "", p.fail(RuleJSONSyntax)
}

// escaped reads the rest of a string that has escapes; the cursor is on the first backslash.
func (p *jsonParser) escaped(start int) (string, *syntaxError) {
	out := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", faultAt(RuleJSONUTF8, start)
			}
			p.at++
			return string(out), nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			continue
		case c < 0x20:
			return "", p.fail(RuleJSONSyntax)
		}
		out = append(out, c)
		p.at++
	}
	return "", p.fail(RuleJSONSyntax)
}

var shortEscapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one escape, a surrogate pair as one rune.
func (p *jsonParser) escape() (rune, *syntaxError) {
	if p.at+1 >= len(p.text) {
		return 0, p.fail(RuleJSONSyntax)
	}
	if r, ok := shortEscapes[p.text[p.at+1]]; ok {
		p.at += 2
		return r, nil
	}
	r, ok := p.hex4()
	if !ok {
		return 0, p.fail(RuleJSONSyntax)
	}
	if r == 0 {
		return 0, p.fail(RuleJSONNUL)
	}
	p.at += 6
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	low, ok := p.hex4()
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		p.at += 6
		return pair, nil
	}
	return 0, p.fail(RuleJSONUTF8)
}

// hex4 reads \uXXXX at the cursor without moving it.
func (p *jsonParser) hex4() (rune, bool) {
	if p.at+6 > len(p.text) || p.text[p.at] != '\\' || p.text[p.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.text[p.at+2 : p.at+6] {
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
