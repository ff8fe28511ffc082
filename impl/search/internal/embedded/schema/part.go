package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ReadPart decodes only those top-level members of a stored document that the fields need, and the ID. If little of a document is needed,
// this takes a fraction of the time of ParseDocument.
func ReadPart(stored []byte, fields []*Field) (Document, error) {
	doc := Document{}
	err := members(stored, func(key, value []byte) error {
		name, err := plainString(key)
		if err != nil {
			return err
		}
		if name != "id" && !wanted(name, fields) {
			return nil
		}
		doc[name], err = plainValue(value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read stored document: %w", err)
	}
	return doc, nil
}

// plainString decodes a string. Most strings have no escapes.
func plainString(raw []byte) (s string, err error) {
	if len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), nil
	}
	err = json.Unmarshal(raw, &s)
	return s, err
}

// plainValue decodes a value as ParseDocument does.
func plainValue(raw []byte) (any, error) {
	if len(raw) == 0 {
		return nil, errStored
	}
	switch c := raw[0]; {
	case c == '"':
		return plainString(raw)
	case c == '-' || c >= '0' && c <= '9':
		return json.Number(raw), nil
	case c == 't' || c == 'f':
		return c == 't', nil
	case c == 'n':
		return nil, nil
	}
	return decode(raw)
}

// wanted reports whether a member is one of the fields, or an object that contains one.
func wanted(name string, fields []*Field) bool {
	for _, f := range fields {
		rest, ok := strings.CutPrefix(f.Name, name)
		if ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

var errStored = errors.New("it is not an object in the form that Encode writes")

// members calls do for each member of an object that Encode wrote, which is well-formed and without white space.
func members(b []byte, do func(key, value []byte) error) error {
	if len(b) < 2 || b[0] != '{' {
		return errStored
	}
	for at := 1; b[at] != '}'; {
		key := skip(b, at)
		if key >= len(b) || b[key] != ':' {
			return errStored
		}
		end := skip(b, key+1)
		if end >= len(b) {
			return errStored
		}
		if err := do(b[at:key], b[key+1:end]); err != nil {
			return err
		}
		if at = end; b[at] == ',' {
			at++
		}
		if at >= len(b) {
			return errStored
		}
	}
	return nil
}

// skip returns the end of the value that starts at i.
func skip(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ':':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 && (i+1 >= len(b) || b[i] == '"' || b[i] == '}' || b[i] == ']') {
			return i + 1
		}
	}
	return i
}
