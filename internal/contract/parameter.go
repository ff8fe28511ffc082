package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/problem"
)

// parameter is one declared parameter. Supported are scalars everywhere, and arrays of scalars in query (form style,
// exploded or not) and header (simple style).
type parameter struct {
	name, in string
	required bool
	list     bool
	explode  bool
	schema   *schema
	scalar   *schema // of the items, where list
}

// parameters compiles the path's and the operation's parameters; the operation's win.
func (b *builder) parameters(path string, levels ...openapi3.Parameters) ([]*parameter, error) {
	var out []*parameter
	var errs []error
	for _, level := range levels {
		for _, ref := range level {
			if ref.Value == nil {
				errs = append(errs, fmt.Errorf("parameter %s does not resolve", ref.Ref))
				continue
			}
			p, err := b.parameter(ref.Value)
			if err != nil {
				errs = append(errs, fmt.Errorf("parameter %s in %s: %w", ref.Value.Name, ref.Value.In, err))
				continue
			}
			if p == nil {
				continue
			}
			out = slices.DeleteFunc(out, func(have *parameter) bool { return have.in == p.in && have.name == p.name })
			out = append(out, p)
		}
	}
	for _, p := range out {
		if p.in == "path" && !strings.Contains(path, "{"+p.name+"}") {
			errs = append(errs, fmt.Errorf("path parameter %s is not in the path", p.name))
		}
	}
	for rest := path; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		if !slices.ContainsFunc(out, func(p *parameter) bool { return p.in == "path" && p.name == name }) {
			errs = append(errs, fmt.Errorf("path parameter %s is not declared", name))
		}
		rest = tail
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].in+out[i].name < out[j].in+out[j].name })
	return out, errors.Join(errs...)
}

// ignoredHeaders are said by OpenAPI to be described elsewhere; declaring them as parameters has no effect.
var ignoredHeaders = []string{"Accept", "Content-Type", "Authorization"}

func (b *builder) parameter(o *openapi3.Parameter) (*parameter, error) {
	if o.In == "header" && slices.ContainsFunc(ignoredHeaders, func(h string) bool { return strings.EqualFold(h, o.Name) }) {
		return nil, nil
	}
	if o.Content != nil || o.Schema == nil {
		return nil, errors.New("needs a schema; content is not supported")
	}
	method, err := o.SerializationMethod()
	if err != nil {
		return nil, err
	}
	if wanted := map[string]string{"path": "simple", "header": "simple", "query": "form", "cookie": "form"}[o.In]; method.Style != wanted {
		return nil, fmt.Errorf("style %s is not supported", method.Style)
	}
	s, err := b.schema(o.Schema)
	if err != nil {
		return nil, err
	}
	p := &parameter{name: o.Name, in: o.In, required: o.Required, schema: s, scalar: s, explode: method.Explode}
	if s.types == typeArray {
		if p.list, p.scalar = true, s.items; p.scalar == nil {
			return nil, errors.New("an array needs items")
		}
		if o.In == "path" || o.In == "cookie" {
			return nil, errors.New("an array is supported in query and header only")
		}
	}
	if !scalarOnly(p.scalar) {
		return nil, errors.New("must be a boolean, integer, number or string, or an array of them")
	}
	return p, nil
}

// scalarOnly reports whether s says by itself, or by all of its parts, that the value is a scalar.
func scalarOnly(s *schema) bool {
	if s.types != 0 {
		return s.types&(typeArray|typeObject) == 0
	}
	parts := slices.Concat(s.oneOf, s.anyOf, s.allOf)
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(part *schema) bool { return !scalarOnly(part) })
}

// types of all parts of a scalar schema.
func allTypes(s *schema) typeSet {
	t := s.types
	for _, part := range slices.Concat(s.oneOf, s.anyOf, s.allOf) {
		t |= allTypes(part)
	}
	return t
}

// CheckParameters checks path, query, header and cookie parameters, all at once. Errors: malformed_query (400),
// invalid_parameter (400), and for an absent required header idempotency_missing (400) or precondition_missing (428).
func (op *Operation) CheckParameters(r *http.Request, m *Match) error {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	c := &checker{direction: inbound}
	for _, p := range op.parameters {
		c.in = p.in
		at := &place{parent: &place{}, key: p.name}
		values, valid := p.values(c, r, m, query, at)
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
			c.fail(&place{parent: &place{}, key: name}, string(RuleUndeclared), "is not a parameter of this operation")
		}
	}
	return c.problem(problem.InvalidParameter, "A parameter does not fit the contract.")
}

// problem returns the violations as one problem, or nil. A parameter's pointer is its name.
func (c *checker) problem(code problem.Code, detail string) error {
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

func missingHeader(p *parameter) error {
	if p.in != "header" {
		return nil
	}
	switch {
	case strings.EqualFold(p.name, "If-Match"):
		return problem.New(problem.PreconditionMissing, "This change needs If-Match with the ETag of the state you have seen.").
			WithField("header", p.name, "required", "is required")
	case strings.EqualFold(p.name, "Idempotency-Key"):
		return problem.New(problem.IdempotencyMissing, "This operation needs an Idempotency-Key.").
			WithField("header", p.name, "required", "is required")
	}
	return nil
}

// values returns what was sent for p; false when that alone is a violation.
func (p *parameter) values(c *checker, r *http.Request, m *Match, query *pairs, at *place) ([]string, bool) {
	var values []string
	switch p.in {
	case "path":
		if v, ok := m.Param(p.name); ok {
			values = []string{v}
		}
	case "query":
		values = query.get(p.name)
	case "header":
		values = slices.Clone(r.Header[textproto.CanonicalMIMEHeaderKey(p.name)])
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
func (c *checker) parameter(p *parameter, values []string, at *place) {
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
	c.value(p.schema, list, at)
}

func (c *checker) scalarText(s *schema, text string, at *place) bool {
	types := allTypes(s)
	v, ok := scalarValue(types, text)
	if !ok {
		return c.fail(at, numberOrType(types), "must be of type %s", types)
	}
	return c.value(s, v, at)
}

func numberOrType(t typeSet) string {
	if t&(typeInteger|typeNumber) != 0 {
		return string(RuleNumberForm)
	}
	return "type"
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

// pairs are the names and values of a query or a form, decoded, in order.
type pairs struct {
	names, values []string
}

func (q *pairs) get(name string) []string {
	var out []string
	for i, n := range q.names {
		if n == name {
			out = append(out, q.values[i])
		}
	}
	return out
}

// maxPairs bounds the names of one query or form.
const maxPairs = 256

// parseQuery decodes a query string and refuses what programs read differently.
func parseQuery(raw string) (*pairs, error) {
	q, rule := parsePairs(raw)
	if rule != "" {
		return nil, problem.New(problem.MalformedQuery, "The query cannot be decoded.").WithField("query", "", string(rule), pairMessages[rule])
	}
	return q, nil
}

var pairMessages = map[Rule]string{
	RuleQueryEscape: "has an invalid percent escape", RuleQueryUTF8: "is not valid UTF-8", RuleQueryControl: "has the character NUL",
	RuleQuerySemicolon: "has a semicolon that is not escaped", RuleQueryEmpty: "has a pair without a name, or too many pairs",
}

func parsePairs(raw string) (*pairs, Rule) {
	q := &pairs{}
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
