package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ReadPart reads what the fields need of a stored document: their top-level members alone, and the id. A document of which little is needed is
// read in a fraction of the time that ParseDocument takes.
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

// plainString reads a string; most have nothing to be unescaped.
func plainString(raw []byte) (s string, err error) {
	if len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), nil
	}
	err = json.Unmarshal(raw, &s)
	return s, err
}

// plainValue reads a value as ParseDocument does.
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

// wanted says whether a member is a field, or an object in which one lies.
func wanted(name string, fields []*Field) bool {
	for _, f := range fields {
		rest, ok := strings.CutPrefix(f.Name, name)
		if ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

var errStored = errors.New("it is no object as Encode writes it")

// members calls do with each member of an object that Encode wrote: without white space, and well formed.
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

// skip returns where the value that begins at i ends.
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
