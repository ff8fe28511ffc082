// Package filters translates the contract's typed filters to the engine's filter language, such that no value can be parsed as syntax of
// that language.
package filters

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/internal/problem"
)

// Limits of a filter. Typesense accepts 100 conditions, and both engines limit nesting.
const (
	maxConditions = 100
	maxDepth      = 16
)

// Options describe the collection.
type Options struct {
	// Reserved reports whether a field must not be named by callers.
	Reserved func(field string) bool
	// ID returns a document's ID at the engine. It returns false if the caller can't filter by IDs.
	ID func(id string) (string, bool)
}

// Write returns the filter in the engine's language, in parentheses if it has several conditions. Problem: validation_failed, which names
// the invalid member and never a value.
func Write(f *searchapi.Filter, o Options) (string, error) {
	w := writer{options: o}
	return w.node(f, "/filter", false, 1)
}

type writer struct {
	options    Options
	conditions int
}

func refuse(pointer, keyword, message string) error {
	return problem.New(problem.ValidationFailed, "The filter is not valid.").WithField("body", pointer, keyword, message)
}

// node writes a filter or its negation. The engine's language can't negate groups, so the negation is pushed down to the conditions.
func (w *writer) node(f *searchapi.Filter, pointer string, negated bool, depth int) (string, error) {
	if depth > maxDepth {
		return "", refuse(pointer, "maxDepth", fmt.Sprintf("is nested more than %d deep", maxDepth))
	}
	groups := 0
	for _, given := range []bool{f.And != nil, f.Or != nil, f.Not != nil, f.Field != nil} {
		if given {
			groups++
		}
	}
	values := f.Op != nil || f.Texts != nil || f.Integers != nil || f.Numbers != nil || f.Booleans != nil
	if groups != 1 || values != (f.Field != nil) {
		return "", refuse(pointer, "oneOf", "must be one of and, or, not and a condition with field, op and values")
	}
	switch {
	case f.And != nil:
		return w.group(*f.And, pointer+"/and", negated, sign(!negated), depth)
	case f.Or != nil:
		return w.group(*f.Or, pointer+"/or", negated, sign(negated), depth)
	case f.Not != nil:
		return w.node(f.Not, pointer+"/not", !negated, depth+1)
	}
	return w.condition(f, pointer, negated)
}

func sign(and bool) string {
	if and {
		return " && "
	}
	return " || "
}

// group joins filters. The parentheses are needed because both operators have the same precedence.
func (w *writer) group(list []searchapi.Filter, pointer string, negated bool, sign string, depth int) (string, error) {
	parts := make([]string, len(list))
	for i := range list {
		var err error
		if parts[i], err = w.node(&list[i], fmt.Sprintf("%s/%d", pointer, i), negated, depth+1); err != nil {
			return "", err
		}
	}
	return joined(parts, sign), nil
}

func joined(parts []string, sign string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, sign) + ")"
}

// opposite maps operators to their negations. between has none, and is written as two conditions.
var opposite = map[searchapi.FilterOp]searchapi.FilterOp{
	searchapi.FilterOpEq: searchapi.FilterOpNe, searchapi.FilterOpNe: searchapi.FilterOpEq,
	searchapi.FilterOpGt: searchapi.FilterOpLe, searchapi.FilterOpLe: searchapi.FilterOpGt,
	searchapi.FilterOpGe: searchapi.FilterOpLt, searchapi.FilterOpLt: searchapi.FilterOpGe,
}

var comparators = map[searchapi.FilterOp]string{
	searchapi.FilterOpGt: ":>", searchapi.FilterOpGe: ":>=", searchapi.FilterOpLt: ":<", searchapi.FilterOpLe: ":<=",
}

func (w *writer) condition(f *searchapi.Filter, pointer string, negated bool) (string, error) {
	if w.conditions++; w.conditions > maxConditions {
		return "", refuse(pointer, "maxItems", fmt.Sprintf("is one condition more than the %d that a filter may have", maxConditions))
	}
	field := *f.Field
	if w.options.Reserved(field) {
		return "", refuse(pointer+"/field", "enum", "is not a field of the collection")
	}
	if f.Op == nil {
		return "", refuse(pointer+"/op", "required", "is required")
	}
	values, err := w.values(f, pointer)
	if err != nil {
		return "", err
	}
	op := *f.Op
	if turned, ok := opposite[op]; ok && negated {
		op = turned
	}
	numeric := f.Integers != nil || f.Numbers != nil
	switch {
	case op == searchapi.FilterOpEq:
		return field + ":=" + listed(values), nil
	case op == searchapi.FilterOpNe:
		return field + ":!=" + listed(values), nil
	case op == searchapi.FilterOpMatch && f.Texts != nil:
		return matching(field, values, negated), nil
	case op == searchapi.FilterOpBetween && numeric && len(values) == 2 && negated:
		w.conditions++
		return "(" + field + ":<" + values[0] + " || " + field + ":>" + values[1] + ")", nil
	case op == searchapi.FilterOpBetween && numeric && len(values) == 2:
		return field + ":[" + values[0] + ".." + values[1] + "]", nil
	case comparators[op] != "" && numeric && len(values) == 1:
		return field + comparators[op] + values[0], nil
	}
	return "", refuse(pointer+"/op", "enum", "does not take values of this type or number")
}

// listed writes the values of eq or ne. A single value needs no list.
func listed(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "[" + strings.Join(values, ",") + "]"
}

// matching writes a condition that a text contains the words of a value or, negated, of none of the values.
func matching(field string, values []string, negated bool) string {
	if !negated {
		return field + ":" + listed(values)
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = field + ":!" + v
	}
	return joined(parts, " && ")
}

// values writes the values of a condition, which must have a single type.
func (w *writer) values(f *searchapi.Filter, pointer string) (out []string, err error) {
	types := 0
	if f.Texts != nil {
		types++
		if out, err = w.texts(*f.Field, *f.Texts, pointer+"/texts"); err != nil {
			return nil, err
		}
	}
	if f.Integers != nil {
		types++
		for _, n := range *f.Integers {
			out = append(out, strconv.FormatInt(n, 10))
		}
	}
	if f.Numbers != nil {
		types++
		for _, n := range *f.Numbers {
			out = append(out, strconv.FormatFloat(n, 'f', -1, 64))
		}
	}
	if f.Booleans != nil {
		types++
		for _, b := range *f.Booleans {
			out = append(out, strconv.FormatBool(b))
		}
	}
	if types != 1 {
		return nil, refuse(pointer, "oneOf", "must have one of texts, integers, numbers and booleans")
	}
	return out, nil
}

// place matches what Typesense's tokenizer takes for the start of a point or a polygon, even between backticks. White space of every script
// counts.
var place = regexp.MustCompile(`:[\s\v\x{85}\p{Z}]*[(\[]`)

// documentID matches the contract's DocumentId. Typesense takes the ID * for all documents.
var documentID = regexp.MustCompile(`^[A-Za-z0-9_.:~-]{1,512}$`)

// texts quotes texts with backticks. A backtick can't be escaped, so texts that contain one are refused. Typesense also interprets three
// things between backticks: a colon before a bracket, a backslash before the closing backtick, and * as an ID. They are refused too.
func (w *writer) texts(field string, texts []string, pointer string) ([]string, error) {
	out := slices.Clone(texts)
	for i, text := range out {
		at := fmt.Sprintf("%s/%d", pointer, i)
		if fault := faultOf(text); fault != "" {
			return nil, refuse(at, "pattern", fault)
		}
		if field == "id" {
			if !documentID.MatchString(text) {
				return nil, refuse(at, "pattern", "is not a valid document id")
			}
			stored, ok := w.options.ID(text)
			if !ok {
				return nil, refuse(at, "enum", "is an id, which can exist once per tenant")
			}
			text = stored
		}
		out[i] = "`" + text + "`"
	}
	return out, nil
}

// faultOf returns why a text can't be quoted, or "" if it can.
func faultOf(text string) string {
	switch {
	case strings.ContainsRune(text, '`'):
		return "has a backtick, which the engine's filter language can't write"
	case strings.TrimSpace(text) == "":
		return "is blank"
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has a control character"
	case place.MatchString(text):
		return "contains a colon before a bracket, which Typesense reads as a location"
	case strings.HasSuffix(strings.TrimSpace(text), `\`):
		return "ends with a backslash, which Typesense reads together with the closing backtick"
	}
	return ""
}
