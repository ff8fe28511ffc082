// Package filter parses the filter_by language into a tree of typed conditions.
package filter

import (
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// MaxClauses limits the conditions of one filter, and MaxDepth the nesting of parentheses.
const (
	MaxClauses = 100
	MaxDepth   = 50
)

// Op is the operation of a node.
type Op uint8

// The operations of a node. Leaf holds a condition; Nothing matches no document.
const (
	Leaf Op = iota + 1
	And
	Or
	Nothing
	// Document is a condition that only the document itself can answer (Element).
	Document
)

// Node is a filter or a part of one. A nil Node matches everything.
type Node struct {
	Op          Op
	Left, Right *Node
	Clause      *Clause
	Element     *Element
}

// Clause is a condition on one field. It holds if one of its alternatives does, or with Negate if none does; a document without the field
// then matches too.
type Clause struct {
	// Field is nil for the ID.
	Field  *schema.Field
	Negate bool
	// Want is the condition on the values, which depends on the field's kind. For the ID it is schema.AnyWords.
	Want schema.Condition
	// All reports that every document matches (id:*).
	All bool
}

// Options change how names are checked.
type Options struct {
	// AllowUnknown makes a condition on an unknown field match nothing (validate_field_names=false).
	AllowUnknown bool
	// Over, unless nil, is called regularly, because a list may have any length. If it returns an error, parsing ends with that error.
	Over func() error
}

func refuse(format string, args ...any) error {
	return &schema.Error{Status: 400, Text: fmt.Sprintf(format, args...)}
}

var errSyntax = &schema.Error{Status: 400, Text: "Could not parse the filter query."}

// Parse parses a filter for documents of schema s. An empty text gives a nil node.
func Parse(text string, s *schema.Schema, o Options) (*Node, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &parser{text: text, schema: s, options: o}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.pos < len(p.text) {
		return nil, refuse("Could not parse the filter query: unbalanced parentheses.")
	}
	return n, nil
}

type parser struct {
	text    string
	pos     int
	clauses int
	prefix  string // of the fields' names, inside the elements of an object
	braces  int
	schema  *schema.Schema
	options Options
}

func (p *parser) blanks() {
	for p.pos < len(p.text) && strings.ContainsRune(" \t\r\n", rune(p.text[p.pos])) {
		p.pos++
	}
}

func (p *parser) at(s string) bool { return strings.HasPrefix(p.text[p.pos:], s) }

// operator reads "&&" or "||".
func (p *parser) operator() (Op, bool) {
	p.blanks()
	switch {
	case p.at("&&"):
		p.pos += 2
		return And, true
	case p.at("||"):
		p.pos += 2
		return Or, true
	}
	return 0, false
}

var sign = map[Op]string{And: "&&", Or: "||"}

// expression reads operands joined by operators. Both operators have the same precedence and associate to the left, as in Typesense.
func (p *parser) expression(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, refuse("Could not parse the filter query: too many parentheses.")
	}
	if op, ok := p.operator(); ok {
		return nil, refuse("Could not parse the filter query: unbalanced `%s` operands.", sign[op])
	}
	left, err := p.operand(depth)
	if err != nil {
		return nil, err
	}
	for {
		op, ok := p.operator()
		if !ok {
			return left, nil
		}
		p.blanks()
		if p.pos >= len(p.text) || p.at("&&") || p.at("||") || p.at(")") {
			return nil, refuse("Could not parse the filter query: unbalanced `%s` operands.", sign[op])
		}
		right, err := p.operand(depth)
		if err != nil {
			return nil, err
		}
		left = &Node{Op: op, Left: left, Right: right}
	}
}

func (p *parser) operand(depth int) (*Node, error) {
	p.blanks()
	if !p.at("(") {
		return p.clause()
	}
	p.pos++
	p.blanks()
	if p.at(")") {
		return nil, refuse("Filter query cannot be empty.")
	}
	n, err := p.expression(depth + 1)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if !p.at(")") {
		return nil, refuse("Could not parse the filter query: unbalanced parentheses.")
	}
	p.pos++
	return n, nil
}

func (p *parser) clause() (*Node, error) {
	if p.clauses++; p.clauses > MaxClauses {
		return nil, refuse("`filter_by` has too many operations. Maximum allowed: %d. Use `--filter-by-max-ops` command line argument to customize this value.", MaxClauses)
	}
	if object, ok := p.element(); ok {
		return p.inside(object)
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	raw, err := p.value()
	if err != nil {
		return nil, err
	}
	if name == "id" {
		return &Node{Op: Leaf, Clause: idClause(raw)}, nil
	}
	f, ok := p.schema.Field(p.prefix + name)
	switch {
	case !ok && p.options.AllowUnknown:
		return &Node{Op: Nothing}, nil
	case !ok:
		return nil, refuse("Could not find a filter field named `%s` in the schema.", p.prefix+name)
	case !f.Index:
		return nil, refuse("Cannot filter on non-indexed field `%s`.", name)
	}
	want, err := f.Filter(raw, p.options.Over)
	return &Node{Op: Leaf, Clause: &Clause{Field: f, Negate: raw.Negate, Want: want}}, err
}

// name reads the field's name and the colon after it.
func (p *parser) name() (string, error) {
	rest := p.text[p.pos:]
	if strings.HasPrefix(rest, "$") && strings.Contains(rest, "(") {
		return "", schema.Unsupported("filter_by: joins")
	}
	end := strings.IndexAny(rest, ":&|()`")
	if end <= 0 || rest[end] != ':' {
		return "", errSyntax
	}
	name := strings.TrimSpace(rest[:end])
	if name == "" {
		return "", errSyntax
	}
	p.pos += end + 1
	p.blanks()
	return name, nil
}

func (p *parser) value() (schema.Written, error) {
	var v schema.Written
	switch {
	case p.at("!="):
		v.Negate, v.Exact, p.pos = true, true, p.pos+2
	case p.at("!"):
		v.Negate, p.pos = true, p.pos+1
	case p.at("="):
		v.Exact, p.pos = true, p.pos+1
	}
	p.blanks()
	if p.at("[") {
		p.pos++
		return v, p.items(&v)
	}
	it, err := p.bare(false)
	v.Items = []schema.Item{it}
	return v, err
}

func (p *parser) items(v *schema.Written) error {
	v.List = true
	for {
		p.blanks()
		it, err := p.bare(true)
		if err != nil {
			return err
		}
		if it.Text != "" || it.Literal {
			v.Items = append(v.Items, it)
		}
		switch {
		case p.at(","):
			p.pos++
		case p.at("]"):
			p.pos++
			p.blanks()
			if p.pos < len(p.text) && !p.at("&&") && !p.at("||") && !p.at(")") && !(p.braces > 0 && p.at("}")) {
				return errSyntax
			}
			return nil
		default:
			v.Broken = true
			return nil
		}
	}
}

// bare reads up to the end of an item: the next operator or closing parenthesis, or in a list a comma or bracket. Parentheses that are
// opened inside the value are part of it, and so is everything between backticks.
func (p *parser) bare(inList bool) (schema.Item, error) {
	var b strings.Builder
	var it schema.Item
	depth := 0
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == '`':
			end := strings.IndexByte(p.text[p.pos+1:], '`')
			if end < 0 {
				return it, errSyntax
			}
			b.WriteString(p.text[p.pos+1 : p.pos+1+end])
			p.pos += end + 2
			it.Literal = true
			continue
		case inList && (c == ',' || c == ']') && depth == 0, p.at("&&") && !inList, p.at("||") && !inList, c == ')' && depth == 0 && !inList, c == '}' && p.braces > 0 && !inList:
			it.Text = strings.TrimSpace(b.String())
			return it, nil
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		b.WriteByte(c)
		p.pos++
	}
	if depth > 0 {
		return it, refuse("Could not parse the filter query: unbalanced parentheses.")
	}
	it.Text = strings.TrimSpace(b.String())
	return it, nil
}

func idClause(v schema.Written) *Clause {
	c := &Clause{Negate: v.Negate}
	var want schema.AnyWords
	for _, it := range v.Items {
		if it.Text == "*" && !it.Literal && !v.List {
			c.All = true
		}
		want = append(want, schema.Words{Text: it.Text, Exact: true})
	}
	c.Want = want
	return c
}
