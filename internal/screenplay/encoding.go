package screenplay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Encodings of a screenplay: the values of Options.Encoding and Script.Encoding.
const (
	UTF8        = "utf-8"
	UTF16LE     = "utf-16le"
	UTF16BE     = "utf-16be"
	Windows1252 = "windows-1252"
)

// Encodings returns the names of all encodings.
func Encodings() []string { return []string{UTF8, UTF16LE, UTF16BE, Windows1252} }

// decode converts an input to UTF-8 without its byte order mark. With an empty name the encoding is detected: by the mark, by the zero bytes of
// UTF-16, and otherwise as UTF-8. An input that is not valid UTF-8 and contains no multi-byte UTF-8 character is Windows-1252, as used reports; a
// damaged UTF-8 text is not.
func decode(raw []byte, name string) (text []byte, used string, err error) {
	if name == "" {
		name = detect(raw)
	}
	switch name {
	case UTF16LE:
		text, err = fromUTF16(raw, binary.LittleEndian)
	case UTF16BE:
		text, err = fromUTF16(raw, binary.BigEndian)
	case Windows1252:
		text, err = fromWindows1252(raw)
	case UTF8:
		text = raw
	default:
		return nil, "", fmt.Errorf("unknown encoding; the encodings are %s", strings.Join(Encodings(), ", "))
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), name, err
}

func detect(raw []byte) string {
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}):
		return UTF16LE
	case bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return UTF16BE
	}
	if odd, even := zeros(raw); len(raw)%2 == 0 && odd+even > 0 {
		switch { // most characters of a play are ASCII, whose high byte is zero
		case odd > len(raw)/16 && even == 0:
			return UTF16LE
		case even > len(raw)/16 && odd == 0:
			return UTF16BE
		}
	}
	if !utf8.Valid(raw) && !holdsUTF8(raw) {
		return Windows1252
	}
	return UTF8
}

// zeros counts the zero bytes at odd and at even positions.
func zeros(raw []byte) (odd, even int) {
	for i, b := range raw {
		switch {
		case b == 0 && i%2 == 1:
			odd++
		case b == 0:
			even++
		}
	}
	return odd, even
}

// holdsUTF8 reports whether an input contains a multi-byte UTF-8 character: text in Windows-1252 almost never does.
func holdsUTF8(raw []byte) bool {
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		if r != utf8.RuneError && size > 1 {
			return true
		}
		raw = raw[size:]
	}
	return false
}

// fromUTF16 decodes UTF-16. It refuses an incomplete character and names its line.
func fromUTF16(raw []byte, order binary.ByteOrder) ([]byte, error) {
	text := make([]byte, 0, len(raw))
	line := 1
	for len(raw) >= 2 {
		r := rune(order.Uint16(raw))
		raw = raw[2:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if len(raw) >= 2 {
				low = rune(order.Uint16(raw))
				raw = raw[2:]
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return nil, &SyntaxError{Line: line, Problem: "not valid UTF-16"}
			}
		}
		if r == '\n' {
			line++
		}
		text = utf8.AppendRune(text, r)
	}
	if len(raw) > 0 {
		return nil, &SyntaxError{Line: line, Problem: "not valid UTF-16: half a character at the end"}
	}
	return text, nil
}

// fromWindows1252 decodes Windows-1252. It refuses the five undefined bytes.
func fromWindows1252(raw []byte) ([]byte, error) {
	text := make([]byte, 0, len(raw)+len(raw)/8)
	line := 1
	for _, b := range raw {
		r := charmap.Windows1252.DecodeByte(b)
		if r == utf8.RuneError {
			return nil, &SyntaxError{Line: line, Problem: "neither valid UTF-8 nor Windows-1252"}
		}
		if b == '\n' {
			line++
		}
		text = utf8.AppendRune(text, r)
	}
	return text, nil
}
