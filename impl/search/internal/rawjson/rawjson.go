package tsclient

import (
	"bytes"
	"strconv"
)

// scan reads a JSON text once and gives parts of it as they are, without making values of them. It follows strings and brackets and looks at
// numbers and words by their letters alone: what it gives on is checked by the contract, at the gateway.
type scan struct {
	text []byte
	at   int
}

// Members calls fn for each member of an object, a JSON text that is known to be valid, with its name between the quotes and its value, both as they are written. An error of fn ends it; a text that is no object, or goes on behind it, is
// an error too.
func Members(object []byte, fn func(name, value []byte) error) error {
	s := &scan{text: object}
	err := s.members(func(name []byte) error {
		value, err := s.raw()
		if err != nil {
			return err
		}
		return fn(name, value)
	})
	if s.space(); err == nil && s.at != len(s.text) {
		err = errBadAnswer
	}
	return err
}

func (s *scan) space() {
	for s.at < len(s.text) && s.text[s.at] <= ' ' {
		s.at++
	}
}

// take reads a sign.
func (s *scan) take(sign byte) bool {
	s.space()
	if s.at >= len(s.text) || s.text[s.at] != sign {
		return false
	}
	s.at++
	return true
}

// each reads an array, and calls fn at each of its values, which fn reads.
func (s *scan) each(fn func() error) error {
	return s.list('[', ']', fn)
}

// members reads an object, and calls fn at each of its values, which fn reads. The names that it looks for are written without escapes.
func (s *scan) members(fn func(name []byte) error) error {
	return s.list('{', '}', func() error {
		name, err := s.raw()
		if err != nil || len(name) < 2 || name[0] != '"' || !s.take(':') {
			return errBadAnswer
		}
		return fn(name[1 : len(name)-1])
	})
}

func (s *scan) list(begin, end byte, fn func() error) error {
	if !s.take(begin) {
		return errBadAnswer
	}
	if s.take(end) {
		return nil
	}
	for {
		if err := fn(); err != nil {
			return err
		}
		if s.take(end) {
			return nil
		}
		if !s.take(',') {
			return errBadAnswer
		}
	}
}

// number reads a whole number.
func (s *scan) number() (int64, error) {
	text, err := s.raw()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, errBadAnswer
	}
	return n, nil
}

// raw reads any value and returns its part of the text.
func (s *scan) raw() ([]byte, error) {
	s.space()
	begin := s.at
	for depth := 0; s.at < len(s.text); {
		switch c := s.text[s.at]; {
		case c == '"':
			if !s.quoted() {
				return nil, errBadAnswer
			}
		case c == '{' || c == '[':
			depth++
			s.at++
			continue
		case depth > 0 && (c == '}' || c == ']'):
			depth--
			s.at++
		case depth > 0 && (c <= ' ' || c == ',' || c == ':'):
			s.at++
			continue
		case !s.word():
			return nil, errBadAnswer
		}
		if depth == 0 {
			return s.text[begin:s.at], nil
		}
	}
	return nil, errBadAnswer
}

// quoted reads a string.
func (s *scan) quoted() bool {
	for s.at++; ; {
		end := bytes.IndexByte(s.text[s.at:], '"')
		if end < 0 {
			return false
		}
		slashes := 0
		for i := s.at + end - 1; i >= s.at && s.text[i] == '\\'; i-- {
			slashes++
		}
		s.at += end + 1
		if slashes%2 == 0 {
			return true
		}
	}
}

// word reads a number, true, false or null.
func (s *scan) word() bool {
	begin := s.at
	for s.at < len(s.text) {
		if c := s.text[s.at]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '+' && c != '.' && c != 'E' {
			break
		}
		s.at++
	}
	return s.at > begin
}
