package auth

import (
	"errors"
	"strings"
)

const (
	maxMembers = 32 // of one object: a token of this family has about 20
	maxDepth   = 8
)

// scanObject reads one JSON object and calls member for each of its own members, with the value as it is written. It refuses what two parsers could
// read differently: a name that occurs twice, ignoring case, in this object or a nested one; a name that contains escapes; and text after the object.
// It does not check the syntax of values: the decoder of the object does.
func scanObject(raw []byte, member func(name string, value []byte) error) error {
	s := scanner{raw: raw}
	s.space()
	if s.peek() != '{' {
		return errors.New("not a JSON object")
	}
	if err := s.object(0, member); err != nil {
		return err
	}
	s.space()
	if s.at != len(s.raw) {
		return errors.New("text after the JSON object")
	}
	return nil
}

var errNotJSON = errors.New("not JSON")

// scanner is a position in a text.
type scanner struct {
	raw []byte
	at  int
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at >= len(s.raw) {
		return 0
	}
	return s.raw[s.at]
}

func (s *scanner) space() {
	for s.at < len(s.raw) && (s.raw[s.at] == ' ' || s.raw[s.at] == '\t' || s.raw[s.at] == '\n' || s.raw[s.at] == '\r') {
		s.at++
	}
}

// object reads an object, starting at its opening brace.
func (s *scanner) object(depth int, member func(name string, value []byte) error) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	s.at++
	var names [maxMembers]string
	for n := 0; ; n++ {
		s.space()
		if s.peek() == '}' && n == 0 {
			s.at++
			return nil
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		if n == maxMembers {
			return errors.New("too many members")
		}
		for _, earlier := range names[:n] {
			if strings.EqualFold(earlier, name) {
				return errors.New("a member is named twice")
			}
		}
		names[n] = name
		begin := s.at
		if err := s.value(depth); err != nil {
			return err
		}
		if member != nil {
			if err := member(name, s.raw[begin:s.at]); err != nil {
				return err
			}
		}
		if more, err := s.next('}'); err != nil || !more {
			return err
		}
	}
}

// name reads a member's name, the colon and white space.
func (s *scanner) name() (string, error) {
	text, err := s.text()
	if err != nil {
		return "", err
	}
	for i := range text {
		if text[i] == '\\' {
			return "", errors.New("a member's name is written with escapes")
		}
	}
	s.space()
	if s.peek() != ':' {
		return "", errNotJSON
	}
	s.at++
	s.space()
	return string(text), nil
}

// text reads a string and returns the characters between the quotes, not unescaped.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errNotJSON
	}
	s.at++
	for begin := s.at; s.at < len(s.raw); s.at++ {
		switch s.raw[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.raw[begin : s.at-1], nil
		}
	}
	return nil, errNotJSON
}

// value reads a value of any type.
func (s *scanner) value(depth int) error {
	switch s.peek() {
	case '{':
		return s.object(depth+1, nil)
	case '[':
		return s.array(depth + 1)
	case '"':
		_, err := s.text()
		return err
	}
	begin := s.at
	for s.at < len(s.raw) && !strings.ContainsRune(",]} \t\n\r", rune(s.raw[s.at])) {
		s.at++
	}
	if s.at == begin {
		return errNotJSON
	}
	return nil
}

// array reads an array, starting at its opening bracket.
func (s *scanner) array(depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		if more, err := s.next(']'); err != nil || !more {
			return err
		}
	}
}

// next reads the separator after a member or element: true for a comma, false for the end.
func (s *scanner) next(end byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.at++
		return true, nil
	case end:
		s.at++
		return false, nil
	}
	return false, errNotJSON
}
