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

// Encodings that a screenplay may be in: the names that Options.Encoding takes and Script.Encoding has.
const (
	UTF8        = "utf-8"
	UTF16LE     = "utf-16le"
	UTF16BE     = "utf-16be"
	Windows1252 = "windows-1252"
)

// Encodings lists the names of all.
func Encodings() []string { return []string{UTF8, UTF16LE, UTF16BE, Windows1252} }

// decode makes UTF-8 of an input without its byte order mark. An empty name is found out: by the mark, by the zero bytes of UTF-16, and else UTF-8.
// What is not UTF-8 and holds no character of it beyond ASCII is Windows-1252, which what it reads says; a damaged UTF-8 text stays one.
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
		return nil, "", fmt.Errorf("there is no encoding of that name; there are %s", strings.Join(Encodings(), ", "))
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
		switch { // most characters of any play are spaces, line ends and marks, whose high byte is zero
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

// zeros counts the zero bytes in odd and in even places.
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

// holdsUTF8 says whether an input has a character of several bytes of UTF-8: text in Windows-1252 has next to never.
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

// fromUTF16 refuses half a character, and names its line.
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

// fromWindows1252 refuses the five bytes that mean nothing there.
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
