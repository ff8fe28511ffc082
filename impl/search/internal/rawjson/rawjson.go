// Package rawjson reads a JSON text once and returns slices of it, without decoding values. The digits of large numbers and the escapes of
// strings therefore stay as they are.
//
// It follows strings and brackets, and checks numbers and literals only by their characters. It is not a validator. It is for texts that
// are known to be valid, such as a body that was checked against the contract, and for texts that are validated later.
package rawjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
	"strconv"
)

// ErrMalformed reports that a text is not JSON, or not of the expected form.
var ErrMalformed = errors.New("the text is not in the expected form")

// Text reads a JSON text from its start. The results are slices of the text.
type Text struct {
	text []byte
	at   int
}

// New returns a reader of a text.
func New(text []byte) Text { return Text{text: text} }

// Members calls fn for each member of an object, which must be the whole text, with the name, without its quotes, and the value, both as
// they are written. An error of fn ends the iteration. If the text is not an object, or more text follows, the error is ErrMalformed.
func Members(object []byte, fn func(name, value []byte) error) error {
	t := New(object)
	err := t.Members(func(name []byte) error {
		value, err := t.Raw()
		if err != nil {
			return err
		}
		return fn(name, value)
	})
	if err != nil {
		return err
	}
	return t.End()
}

// End returns ErrMalformed if anything but white space is left.
func (t *Text) End() error {
	if t.space(); t.at != len(t.text) {
		return ErrMalformed
	}
	return nil
}

func (t *Text) space() {
	for t.at < len(t.text) && t.text[t.at] <= ' ' {
		t.at++
	}
}

// take consumes a character, if it is the next one after white space.
func (t *Text) take(sign byte) bool {
	t.space()
	if t.at >= len(t.text) || t.text[t.at] != sign {
		return false
	}
	t.at++
	return true
}

// Each reads an array, and calls fn at each element. fn must consume the element.
func (t *Text) Each(fn func() error) error { return t.list('[', ']', fn) }

// Members reads an object, and calls fn at each member's value, with the name as it is written between the quotes. fn must consume the
// value.
func (t *Text) Members(fn func(name []byte) error) error {
	return t.list('{', '}', func() error {
		t.space()
		begin := t.at
		if begin >= len(t.text) || t.text[begin] != '"' || !t.quoted() {
			return ErrMalformed
		}
		name := t.text[begin+1 : t.at-1]
		if !t.take(':') {
			return ErrMalformed
		}
		return fn(name)
	})
}

func (t *Text) list(begin, end byte, fn func() error) error {
	if !t.take(begin) {
		return ErrMalformed
	}
	if t.take(end) {
		return nil
	}
	for {
		if err := fn(); err != nil {
			return err
		}
		if t.take(end) {
			return nil
		}
		if !t.take(',') {
			return ErrMalformed
		}
	}
}

// Number reads an integer.
func (t *Text) Number() (int64, error) {
	text, err := t.Raw()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, ErrMalformed
	}
	return n, nil
}

// Raw reads any value and returns its slice of the text.
func (t *Text) Raw() ([]byte, error) {
	t.space()
	begin := t.at
	if begin >= len(t.text) {
		return nil, ErrMalformed
	}
	there := false
	switch signs[t.text[begin]] {
	case quote:
		there = t.quoted()
	case opening:
		there = t.nested()
	case letter:
		there = t.word()
	}
	if !there {
		return nil, ErrMalformed
	}
	return t.text[begin:t.at], nil
}

// Skip reads any value and discards it.
func (t *Text) Skip() error {
	_, err := t.Raw()
	return err
}

// nested reads an array or an object.
func (t *Text) nested() bool {
	for depth := 0; t.at < len(t.text); {
		switch signs[t.text[t.at]] {
		case quote:
			if !t.quoted() {
				return false
			}
		case opening:
			depth++
			t.at++
		case closing:
			t.at++
			if depth--; depth == 0 {
				return true
			}
		case between, letter:
			t.at++
		default:
			return false
		}
	}
	return false
}

// sign is the class of a byte outside of strings.
type sign uint8

const (
	foreign sign = iota // not allowed in JSON
	letter              // of numbers, true, false and null
	between             // white space, commas and colons
	quote
	opening
	closing
)

var signs = func() (of [256]sign) {
	for c := range of {
		switch {
		case c == '"':
			of[c] = quote
		case c == '{' || c == '[':
			of[c] = opening
		case c == '}' || c == ']':
			of[c] = closing
		case c <= ' ' || c == ',' || c == ':':
			of[c] = between
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E':
			of[c] = letter
		}
	}
	return of
}()

// quoted reads a string.
func (t *Text) quoted() bool {
	t.at++
	for t.at < len(t.text) {
		if t.at = mark(t.text, t.at); t.at >= len(t.text) {
			return false
		}
		if t.text[t.at] == '"' {
			t.at++
			return true
		}
		t.at += 2 // an escape
	}
	return false
}

// Words of eight bytes that are all 0x01, and that all have only the highest bit set.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// mark finds the next quote or backslash, or the end of the text. It looks at eight bytes at a time. Most strings are names and words, for
// which a call of bytes.IndexByte costs more than it saves.
func mark(text []byte, at int) int {
	for ; at+8 <= len(text); at += 8 {
		eight := binary.LittleEndian.Uint64(text[at:])
		quotes, slashes := eight^'"'*ones, eight^'\\'*ones
		// This has the highest bit set for each zero byte, and possibly for some bytes after the first one.
		if found := ((quotes-ones)&^quotes | (slashes-ones)&^slashes) & highs; found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for at < len(text) && text[at] != '"' && text[at] != '\\' {
		at++
	}
	return at
}

// word reads a number, true, false or null.
func (t *Text) word() bool {
	for t.at < len(t.text) && signs[t.text[t.at]] == letter {
		t.at++
	}
	return true
}

// Plain returns the text of a string without escapes. It returns false for any other value.
func Plain(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
		return "", false
	}
	return string(value[1 : len(value)-1]), true
}

// AppendString appends a text as a JSON string.
func AppendString(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // encoding a string never fails
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}
