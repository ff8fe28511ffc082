package contract

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// This file is the earlier check of parameters, with a slice of the values sent for each and with values as interfaces. See tree_test.go.

// treeParameters is the earlier Operation.CheckParameters.
func treeParameters(op *Operation, r *http.Request, m *Match) error {
	query, err := treeQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	c := &treeChecker{direction: inbound}
	for _, p := range op.parameters {
		c.in = p.in
		at := &treePlace{parent: &treePlace{}, key: p.name}
		values, valid := treeValues(c, p, r, m, query, at)
		switch {
		case !valid:
		case len(values) > 0:
			c.parameter(p, values, at)
		case p.required:
			if err := missingHeader(p); err != nil {
				return err
			}
			c.fail(at, "required", "is required")
		}
	}
	c.in = "query"
	for i, name := range query.names {
		if slices.Contains(query.names[:i], name) {
			continue
		}
		if !slices.ContainsFunc(op.parameters, func(p *parameter) bool { return p.in == "query" && p.name == name }) {
			c.fail(&treePlace{parent: &treePlace{}, key: name}, string(RuleUndeclared), "is not a parameter of this operation")
		}
	}
	return c.problem(problem.InvalidParameter, "A parameter does not match the contract.")
}

// problem returns the violations as one problem, or nil. A parameter's pointer is its name.
func (c *treeChecker) problem(code problem.Code, detail string) error {
	if len(c.found) == 0 {
		return nil
	}
	e := problem.New(code, detail)
	e.Fields, e.Truncated = c.found, c.more
	for i, f := range e.Fields {
		if f.In != "body" {
			e.Fields[i].Pointer = strings.TrimPrefix(f.Pointer, "/")
		}
	}
	return e
}

// treeValues returns the values sent for p; false when their number or form is a violation.
func treeValues(c *treeChecker, p *parameter, r *http.Request, m *Match, query *treePairs, at *treePlace) ([]string, bool) {
	var values []string
	switch p.in {
	case "path":
		if v, ok := m.Param(p.name); ok {
			values = []string{v}
		}
	case "query":
		values = query.get(p.name)
	case "header":
		values = slices.Clone(r.Header[http.CanonicalHeaderKey(p.name)])
		for i, v := range values {
			if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
				return nil, c.fail(at, string(RuleHeaderText), "must be printable text")
			}
			values[i] = strings.TrimSpace(v)
		}
	case "cookie":
		for _, cookie := range r.Cookies() {
			if cookie.Name == p.name {
				values = append(values, cookie.Value)
			}
		}
	}
	if len(values) > 1 && (!p.list || p.in != "query" || !p.explode) {
		return nil, c.fail(at, string(RuleRepeated), "must be sent once")
	}
	return values, true
}

// parameter checks the text of a parameter against its schema.
func (c *treeChecker) parameter(p *parameter, values []string, at *treePlace) {
	if !p.list {
		c.scalarText(p.scalar, values[0], at)
		return
	}
	if p.in == "header" || !p.explode {
		values = strings.Split(values[0], ",")
	}
	list := make([]any, 0, len(values))
	for i, text := range values {
		if p.in == "header" {
			text = strings.TrimSpace(text)
		}
		v, ok := scalarValue(allTypes(p.scalar), text)
		if !ok {
			c.fail(at, numberOrType(allTypes(p.scalar)), "item %d must be of type %s", i, allTypes(p.scalar))
			return
		}
		list = append(list, v)
	}
	if p.in == "query" && !p.mayBeVoid && len(list) == 1 && list[0] == "" { // since then: as kin-openapi does
		c.fail(at, "allowEmptyValue", "must not be empty")
		return
	}
	c.value(p.schema, list, at)
}

func (c *treeChecker) scalarText(s *schema, text string, at *treePlace) bool {
	types := allTypes(s)
	v, ok := scalarValue(types, text)
	if !ok {
		return c.fail(at, numberOrType(types), "must be of type %s", types)
	}
	return c.value(s, v, at)
}

// scalarValue reads a parameter's text as the narrowest of the types it may have.
func scalarValue(types typeSet, text string) (any, bool) {
	if types&(typeInteger|typeNumber) != 0 && len(text) <= maxNumber && numberLiteral(text) {
		if _, err := json.Number(text).Float64(); err == nil {
			return json.Number(text), true
		}
	}
	if types&typeBoolean != 0 && (text == "true" || text == "false") {
		return text == "true", true
	}
	if types == 0 || types&typeString != 0 {
		return text, true
	}
	return nil, false
}

// treePairs are the names and values of a query or a form, decoded, in order.
type treePairs struct {
	names, values []string
}

func (q *treePairs) get(name string) []string {
	var out []string
	for i, n := range q.names {
		if n == name {
			out = append(out, q.values[i])
		}
	}
	return out
}

// treeQuery decodes a query string and refuses what programs read differently.
func treeQuery(raw string) (*treePairs, error) {
	q, rule := treeReadPairs(raw)
	if rule != "" {
		return nil, problem.New(problem.MalformedQuery, "The query cannot be decoded.").WithField("query", "", string(rule), pairMessages[rule])
	}
	return q, nil
}

func treeReadPairs(raw string) (*treePairs, Rule) {
	q := &treePairs{}
	if raw == "" {
		return q, ""
	}
	if strings.Contains(raw, ";") {
		return nil, RuleQuerySemicolon
	}
	if strings.Count(raw, "&") >= maxPairs {
		return nil, RuleQueryEmpty
	}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		for _, part := range []*string{&name, &value} {
			decoded, err := url.QueryUnescape(*part)
			switch {
			case err != nil:
				return nil, RuleQueryEscape
			case !utf8.ValidString(decoded):
				return nil, RuleQueryUTF8
			case strings.ContainsRune(decoded, 0):
				return nil, RuleQueryControl
			}
			*part = decoded
		}
		if name == "" {
			return nil, RuleQueryEmpty
		}
		q.names, q.values = append(q.names, name), append(q.values, value)
	}
	return q, ""
}
