// Package ordering reads the sort_by language.
package ordering

import (
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// MaxKeys is the documented number of sort keys.
const MaxKeys = 3

// Key is one sort key.
type Key struct {
	// Field is nil for the text match score.
	Field *schema.Field
	Desc  bool
	// MissingFirst puts documents without a value before the others; without it they are last in both directions.
	MissingFirst bool
}

var errMalformed = &schema.Error{Status: 400, Text: "Parameter `sort_by` is malformed."}

// Parse reads a sort_by parameter for documents of schema s. An empty text gives no keys.
func Parse(text string, s *schema.Schema) ([]Key, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	parts, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(parts) > MaxKeys {
		return nil, &schema.Error{Status: 400, Text: "Only upto 3 sort fields are allowed."}
	}
	keys := make([]Key, 0, len(parts))
	for _, part := range parts {
		k, err := key(part, s)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// split cuts at commas outside parentheses and brackets.
func split(text string) ([]string, error) {
	var parts []string
	depth, start := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[':
			depth++
		case ')', ']':
			if depth--; depth < 0 {
				return nil, errMalformed
			}
		case ',':
			if depth == 0 {
				parts = append(parts, text[start:i])
				start = i + 1
			}
		}
	}
	if depth != 0 {
		return nil, errMalformed
	}
	return append(parts, text[start:]), nil
}

func key(part string, s *schema.Schema) (Key, error) {
	var k Key
	colon := strings.LastIndexByte(part, ':')
	if colon < 0 || strings.LastIndexByte(part, ')') > colon {
		return k, errMalformed
	}
	switch strings.ToLower(strings.TrimSpace(part[colon+1:])) {
	case "asc":
	case "desc":
		k.Desc = true
	default:
		return k, errMalformed
	}
	name, options, hasOptions := strings.Cut(strings.TrimSpace(part[:colon]), "(")
	name = strings.TrimSpace(name)
	switch name {
	case "":
		return k, errMalformed
	case "_text_match":
		if hasOptions {
			return k, schema.Unsupported("_text_match(buckets)")
		}
		return k, nil
	case "_eval", "_rand", "_vector_distance", "_group_found", "_vector_query":
		return k, schema.Unsupported(name)
	}
	f, ok := s.Field(name)
	if !ok || !f.Sort {
		return k, &schema.Error{Status: 404, Text: "Could not find a field named `" + name + "` in the schema for sorting."}
	}
	k.Field = f
	if hasOptions {
		return k, k.missing(strings.TrimSuffix(strings.TrimSpace(options), ")"))
	}
	return k, nil
}

// missing reads "missing_values: first|last|normal".
func (k *Key) missing(options string) error {
	name, v, ok := strings.Cut(options, ":")
	if !ok || strings.TrimSpace(name) != "missing_values" {
		return &schema.Error{Status: 400, Text: "Bad syntax for sorting field `" + k.Field.Name + "`"}
	}
	switch strings.TrimSpace(v) {
	case "first":
		k.MissingFirst = true
	case "last":
	case "normal":
		k.MissingFirst = !k.Desc
	default:
		return &schema.Error{Status: 400, Text: "Bad syntax for sorting field `" + k.Field.Name + "`"}
	}
	return nil
}
