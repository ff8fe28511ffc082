package contract

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/problem"
)

// parameter is one declared parameter. Supported are scalars everywhere, and arrays of scalars in query (form style,
// exploded or not) and header (simple style).
type parameter struct {
	name, in  string
	canonical string // the name in the form that net/http keeps, of a header
	position  int    // among the parameters of the path
	required  bool
	list      bool
	explode   bool
	mayBeVoid bool // allowEmptyValue, of a list in the query
	schema    *schema
	scalar    *schema // of the items, where list
	types     typeSet // all types of scalar
	form      string  // the keyword of a text that is of none of the types
	say       string  // and its message
	style     *style  // of a document of others
}

// finish computes the fields that depend on the schema.
func (p *parameter) finish() *parameter {
	p.canonical, p.types = textproto.CanonicalMIMEHeaderKey(p.name), allTypes(p.scalar)
	p.form, p.say = numberOrType(p.types), sentence("must be of type %s", p.types)
	return p
}

// parameters compiles the path's and the operation's parameters; those of the operation override.
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
				errs = append(errs, about("parameters."+ref.Value.In+"."+ref.Value.Name, fmt.Errorf("parameter %s in %s: %w", ref.Value.Name, ref.Value.In, err)))
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
	for rest, position := path, 0; ; position++ {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		if !slices.ContainsFunc(out, func(p *parameter) bool { return p.in == "path" && p.name == name }) {
			errs = append(errs, fmt.Errorf("path parameter %s is not declared", name))
		}
		for _, p := range out {
			if p.in == "path" && p.name == name {
				p.position = position
			}
		}
		rest = tail
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].in+out[i].name < out[j].in+out[j].name })
	return out, errors.Join(errs...)
}

// ignoredHeaders are described elsewhere according to OpenAPI; declaring them as parameters has no effect.
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
	p := &parameter{name: o.Name, in: o.In, required: o.Required, schema: s, scalar: s, explode: method.Explode, mayBeVoid: o.AllowEmptyValue}
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
	return p.finish(), nil
}

// scalarOnly reports whether s, or every one of its parts, admits only scalars.
func scalarOnly(s *schema) bool {
	if s.types != 0 {
		return s.types&(typeArray|typeObject) == 0
	}
	parts := slices.Concat(s.oneOf, s.anyOf, s.allOf)
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(part *schema) bool { return !scalarOnly(part) })
}

// allTypes returns the types of all parts of a scalar schema.
func allTypes(s *schema) typeSet {
	if s.adopted != nil {
		if s.adopted.texts == anyText {
			return 0
		}
		return s.adopted.texts
	}
	t := s.types
	for _, part := range slices.Concat(s.oneOf, s.anyOf, s.allOf) {
		t |= allTypes(part)
	}
	return t
}

// CheckParameters checks path, query, header and cookie parameters and collects all violations. Errors: malformed_query (400), invalid_parameter
// (400), and for a missing required header idempotency_missing (400) or precondition_missing (428).
func (op *Operation) CheckParameters(r *http.Request, m *Match) error {
	if op.adopted {
		return op.checkAdoptedParameters(r, m)
	}
	c := newChecker(inbound, "query")
	defer c.release()
	if rule := c.pairs.read(r.URL.RawQuery); rule != "" {
		return problem.New(problem.MalformedQuery, "The query cannot be decoded.").WithField("query", "", string(rule), pairMessages[rule])
	}
	for i := range c.pairs {
		c.pairs[i].of = op.queryParameter(c.pairs[i].name)
	}
	for _, p := range op.parameters {
		c.in = p.in
		if sent := c.sent(p, r, m); sent || !p.required {
			continue
		}
		if err := missingHeader(p); err != nil {
			return err
		}
		c.failAt(p.name, "required", "is required")
	}
	c.in = "query"
	for i, pair := range c.pairs {
		if pair.of == nil && !c.pairs[:i].has(pair.name) {
			name := pair.name
			if !plainName(name) { // the sender has chosen it
				name = ""
			}
			c.failAt(name, string(RuleUndeclared), "is not a parameter of this operation")
		}
	}
	return c.problem(problem.InvalidParameter, "A parameter does not match the contract.")
}

func (op *Operation) queryParameter(name string) *parameter {
	for _, p := range op.parameters {
		if p.in == "query" && p.name == name {
			return p
		}
	}
	return nil
}

// sent checks the values sent for a parameter. It returns false when there are none.
func (c *checker) sent(p *parameter, r *http.Request, m *Match) bool {
	switch p.in {
	case "path":
		if p.position >= m.count {
			return false
		}
		c.scalarText(p, m.value(p.position))
		return true
	case "query":
		return c.sentQuery(p)
	case "header":
		return c.sentHeader(p, r.Header[p.canonical])
	}
	if len(r.Header["Cookie"]) == 0 {
		return false
	}
	count, value := 0, ""
	for _, cookie := range r.Cookies() {
		if cookie.Name == p.name {
			count, value = count+1, cookie.Value
		}
	}
	return c.once(p, count, value)
}

// once checks a scalar that was sent count times.
func (c *checker) once(p *parameter, count int, value string) bool {
	switch {
	case count > 1:
		c.failAt(p.name, string(RuleRepeated), "must be sent once")
	case count == 1:
		c.scalarText(p, value)
	}
	return count > 0
}

func (c *checker) sentQuery(p *parameter) bool {
	count, value := 0, ""
	for i := range c.pairs {
		if c.pairs[i].of == p {
			count, value = count+1, c.pairs[i].value
		}
	}
	if count == 0 || !p.list || !p.explode && count > 1 {
		return c.once(p, count, value)
	}
	c.begin(p)
	if !p.explode {
		c.separated(p, value)
		return true
	}
	for i := range c.pairs {
		if c.pairs[i].of == p && !c.item(p, c.pairs[i].value) {
			return true
		}
	}
	c.finish(p)
	return true
}

func (c *checker) sentHeader(p *parameter, values []string) bool {
	if !c.printable(p, values) {
		return true
	}
	if len(values) != 1 || !p.list {
		value := ""
		if len(values) > 0 {
			value = strings.TrimSpace(values[0])
		}
		return c.once(p, len(values), value)
	}
	c.begin(p)
	c.separated(p, strings.TrimSpace(values[0]))
	return true
}

// printable checks that the lines of a header are printable text.
func (c *checker) printable(p *parameter, values []string) bool {
	for _, v := range values {
		if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return c.failAt(p.name, string(RuleHeaderText), "must be printable text")
		}
	}
	return true
}

// begin, item and finish check the texts of a list; item returns false when further items need not be checked.
func (c *checker) begin(p *parameter) {
	c.reset("")
	c.name = p.name
	c.open(kindArray)
}

func (c *checker) item(p *parameter, text string) bool {
	if p.in == "header" {
		text = strings.TrimSpace(text)
	}
	k, ok := scalarKind(p.types, text)
	if !ok {
		return c.failAt(p.name, p.form, "item "+strconv.Itoa(len(c.tokens)-1)+" "+p.say)
	}
	c.add(k, text)
	return true
}

func (c *checker) finish(p *parameter) {
	c.close(0, len(c.tokens)-1)
	if p.in == "query" && !p.mayBeVoid && c.count(0) == 1 && c.text(1) == "" {
		c.failAt(p.name, "allowEmptyValue", "must not be empty") // ambiguous: an empty list, or a list of one empty text
		return
	}
	c.check(p.schema, 0)
}

// separated checks the items of a comma-separated list.
func (c *checker) separated(p *parameter, list string) {
	for text := range strings.SplitSeq(list, ",") {
		if !c.item(p, text) {
			return
		}
	}
	c.finish(p)
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

// scalarText checks the text of a scalar parameter or header.
func (c *checker) scalarText(p *parameter, text string) {
	k, ok := scalarKind(p.types, text)
	if !ok {
		c.failAt(p.name, p.form, p.say)
		return
	}
	c.reset(text)
	c.name = p.name
	c.push(k, 0, len(text), !ascii(text))
	c.check(p.scalar, 0)
}

func numberOrType(t typeSet) string {
	if t&(typeInteger|typeNumber) != 0 {
		return string(RuleNumberForm)
	}
	return "type"
}

// scalarKind parses a text as the narrowest of the types that it may have.
func scalarKind(types typeSet, text string) (kind, bool) {
	if types&(typeInteger|typeNumber) != 0 && len(text) <= maxNumber && numberLiteral(text) && inRange(text) {
		return kindNumber, true
	}
	if types&typeBoolean != 0 {
		switch text {
		case "true":
			return kindTrue, true
		case "false":
			return kindFalse, true
		}
	}
	return kindString, types == 0 || types&typeString != 0
}

// pair is a name with a value of a query or a form, decoded.
type pair struct {
	name, value string
	of          *parameter // nil: none that is declared
}

// pairs are the pairs of one query or form, in order.
type pairs []pair

func (q pairs) has(name string) bool {
	return slices.ContainsFunc(q, func(p pair) bool { return p.name == name })
}

// maxPairs bounds the number of pairs of one query or form.
const maxPairs = 256

var pairMessages = map[Rule]string{
	RuleQueryEscape: "has an invalid percent escape", RuleQueryUTF8: "is not valid UTF-8", RuleQueryControl: "has the character NUL",
	RuleQuerySemicolon: "has a semicolon that is not escaped", RuleQueryEmpty: "has a pair without a name, or too many pairs",
}

// read decodes a query or a form. It refuses what programs parse differently, and returns the violated rule.
func (q *pairs) read(raw string) Rule {
	*q = (*q)[:0]
	if raw == "" {
		return ""
	}
	if strings.IndexByte(raw, ';') >= 0 {
		return RuleQuerySemicolon
	}
	if strings.Count(raw, "&") >= maxPairs {
		return RuleQueryEmpty
	}
	for more := true; more; {
		var one string
		one, raw, more = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(one, "=")
		name, rule := unescape(name)
		if rule != "" {
			return rule
		}
		if value, rule = unescape(value); rule != "" {
			return rule
		}
		if name == "" {
			return RuleQueryEmpty
		}
		*q = append(*q, pair{name: name, value: value})
	}
	return ""
}

// unescape decodes a name or a value. A text of unreserved characters is returned unchanged.
func unescape(s string) (string, Rule) {
	plain := true
	for i := range len(s) {
		if c := s[i]; c == '%' || c == '+' || c == 0 || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return s, ""
	}
	decoded, err := url.QueryUnescape(s)
	switch {
	case err != nil:
		return "", RuleQueryEscape
	case !utf8.ValidString(decoded):
		return "", RuleQueryUTF8
	case strings.IndexByte(decoded, 0) >= 0:
		return "", RuleQueryControl
	}
	return decoded, ""
}
