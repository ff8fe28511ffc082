// Package ordering parses the sort_by language.
package ordering

import (
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// MaxKeys is the documented maximum number of sort keys.
const MaxKeys = 3

// MaxEvals limits the conditions of one key, each of which is a search.
const MaxEvals = 1000

// Key is a sort key.
type Key struct {
	// Field is nil for the text match score.
	Field *schema.Field
	Desc  bool
	// MissingFirst puts documents without a value first. Otherwise they are last in both directions.
	MissingFirst bool
	// Eval scores documents by the first condition that they meet; 0 for none.
	Eval []Eval
	// Buckets divides the hits, by text match or vector distance, into that many buckets, and BucketSize into buckets of that size. Hits in
	// a bucket are equal.
	Buckets, BucketSize int
	// Geo sorts by the distance from a place, for a field of places.
	Geo *Geo
	// Decay sorts by how far the Field is from a number.
	Decay *Decay
	// Distance sorts by the vector distance.
	Distance bool
	// GroupFound sorts groups by their number of documents.
	GroupFound bool
	// Random sorts randomly. The order is the same for the same Seed, except that Seed 0 gives another order each time.
	Random bool
	Seed   uint64
}

// Eval is a condition and its score.
type Eval struct {
	Filter *filter.Node
	Score  int
}

// Late reports whether the key needs more than the index, so that it is applied to the result of the index.
func (k Key) Late() bool {
	return k.Eval != nil || k.Buckets > 0 || k.BucketSize > 0 || k.GroupFound || k.Geo != nil || k.Random || k.Decay != nil
}

var errMalformed = &schema.Error{Status: 400, Text: "Parameter `sort_by` is malformed."}

// Parse parses a sort_by parameter for documents of schema s. An empty text gives no keys.
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

// split splits at commas outside parentheses and brackets.
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
			return k, k.buckets(name, strings.TrimSuffix(strings.TrimSpace(options), ")"))
		}
		return k, nil
	case "_eval":
		return k, k.eval(strings.TrimSpace(strings.TrimSpace(part[:colon])[len("_eval"):]), s)
	case "_group_found":
		k.GroupFound = true
		return k, nil
	case "_vector_distance":
		if k.Distance = true; hasOptions {
			return k, k.buckets(name, strings.TrimSuffix(strings.TrimSpace(options), ")"))
		}
		return k, nil
	case "_rand":
		return k, k.random(options, hasOptions)
	case "_vector_query":
		return k, schema.Unsupported(name)
	}
	f, ok := s.Field(name)
	if ok && f.ByDistance() {
		return k, k.geo(f, strings.TrimSuffix(strings.TrimSpace(options), ")"))
	}
	if !ok || !f.Sort {
		return k, &schema.Error{Status: 404, Text: "Could not find a field named `" + name + "` in the schema for sorting."}
	}
	k.Field = f
	if hasOptions {
		options = strings.TrimSuffix(strings.TrimSpace(options), ")")
		if strings.Contains(options, "origin") {
			return k, k.decay(options)
		}
		return k, k.missing(options)
	}
	return k, nil
}

// random parses "(seed)". The seed or the whole may be omitted.
func (k *Key) random(options string, has bool) (err error) {
	k.Random = true
	seed, closed := strings.CutSuffix(strings.TrimSpace(options), ")")
	if seed = strings.TrimSpace(seed); !has || closed && seed == "" {
		return nil
	}
	if k.Seed, err = strconv.ParseUint(seed, 10, 63); err != nil || !closed {
		return errMalformed
	}
	return nil
}

// Chance returns the sort key of a document for a seed.
func Chance(seed, seq uint64) uint64 {
	x := seed*0x9e3779b97f4a7c15 + seq + 1 // the steps of SplitMix64: every bit of both inputs affects every bit of the result
	for _, m := range []uint64{0xbf58476d1ce4e5b9, 0x94d049bb133111eb} {
		x = (x ^ x>>30) * m
	}
	return x ^ x>>31
}

// missing parses "missing_values: first|last|normal".
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

// buckets parses "buckets: 5" or "bucket_size: 3".
func (k *Key) buckets(of, options string) error {
	name, v, _ := strings.Cut(options, ":")
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31)
	switch name = strings.TrimSpace(name); {
	case name == "buckets" && err == nil:
		k.Buckets = int(n)
	case name == "bucket_size" && err == nil:
		k.BucketSize = int(n)
	case name == "buckets" || name == "bucket_size":
		return &schema.Error{Status: 400, Text: "Invalid value passed for " + of + " `" + name + "` configuration."}
	default:
		return &schema.Error{Status: 400, Text: "Unknown " + of + " parameter found."}
	}
	return nil
}

var errEval = &schema.Error{Status: 400, Text: "Error parsing eval expression in sort_by clause."}

// eval parses "(filter)" or "([(filter):score, ...])", which Typesense's documentation calls optional filtering.
func (k *Key) eval(text string, s *schema.Schema) error {
	inner, ok := strings.CutPrefix(text, "(")
	if !ok || !strings.HasSuffix(inner, ")") {
		return errMalformed
	}
	inner = strings.TrimSpace(strings.TrimSuffix(inner, ")"))
	if inner == "" {
		return &schema.Error{Status: 400, Text: "The eval expression in sort_by is empty."}
	}
	list, isList := strings.CutPrefix(inner, "[")
	if !isList {
		return k.condition(inner, 1, s)
	}
	list, ok = strings.CutSuffix(list, "]")
	if !ok {
		return errEval
	}
	items, err := split(list)
	if err != nil {
		return errEval
	}
	for _, item := range items {
		at := strings.LastIndexByte(item, ':')
		end := strings.LastIndexByte(item, ')')
		item = strings.TrimSpace(item)
		if at < end || end < 0 || !strings.HasPrefix(item, "(") {
			return errEval
		}
		at, end = strings.LastIndexByte(item, ':'), strings.LastIndexByte(item, ')')
		score, err := strconv.Atoi(strings.TrimSpace(item[at+1:]))
		if err != nil {
			return errEval
		}
		if err := k.condition(item[1:end], score, s); err != nil {
			return err
		}
	}
	return nil
}

func (k *Key) condition(text string, score int, s *schema.Schema) error {
	node, err := filter.Parse(text, s, filter.Options{})
	if err != nil || node == nil {
		return errEval
	}
	if k.Eval = append(k.Eval, Eval{node, score}); len(k.Eval) > MaxEvals {
		return &schema.Error{Status: 422, Text: "Rejecting search: `_eval` of the embedded engine has at most " + strconv.Itoa(MaxEvals) + " conditions."}
	}
	return nil
}
