// Package filter reads the filter_by language into a tree of typed conditions.
package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// MaxClauses bounds the conditions of one filter, MaxDepth its parentheses.
const (
	MaxClauses = 100
	MaxDepth   = 50
)

// Op says what a node does.
type Op uint8

// The operations of a node. Leaf holds a condition; Nothing matches no document.
const (
	Leaf Op = iota + 1
	And
	Or
	Nothing
	// Document is a condition that only the document itself can answer (Check).
	Document
)

// Node is a filter or a part of one. A nil Node matches everything.
type Node struct {
	Op          Op
	Left, Right *Node
	Clause      *Clause
	Check       *Check
}

// Clause is one condition on one field: it holds when any of its alternatives does, or with Negate when none does
// (a document without the field then matches too).
type Clause struct {
	// Field is nil for the id.
	Field  *schema.Field
	Negate bool
	// Words are the alternatives on a string field and on the id.
	Words []Words
	// Ints are the alternatives on whole numbers and booleans, Floats those on floats.
	Ints   []Range[int64]
	Floats []Range[float64]
	// All says that every document matches (id:*).
	All bool
}

// Words is a condition on a string.
type Words struct {
	// Text is the value as written (ids are compared with it), List its normalised words.
	Text string
	List []string
	// Exact wants the whole value, else all words must occur in it. Prefix lets the last word be the beginning of one.
	Exact, Prefix bool
}

// Range is a closed interval.
type Range[T int64 | float64] struct{ Low, High T }

// Options change how names are checked.
type Options struct {
	// AllowUnknown makes a condition on an unknown field match nothing (validate_field_names=false).
	AllowUnknown bool
	// Over is asked now and then, since a list may have any length: its error ends the reading. Nil is never asked.
	Over func() error
}

func refuse(format string, args ...any) error {
	return &schema.Error{Status: 400, Text: fmt.Sprintf(format, args...)}
}

var errSyntax = &schema.Error{Status: 400, Text: "Could not parse the filter query."}

// Parse reads a filter for documents of schema s. An empty text gives a nil node.
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
	prefix  string // of the fields' names: inside the elements of an object
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

// expression reads operands joined by operators. Both operators bind equally and from left to right, as Typesense does.
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
	case f.Geo():
		return geoNode(f, raw)
	case f.Kind == schema.Object || f.Kind == schema.Image:
		return nil, refuse("Error with filter field `%s`: Unidentified field data type, see docs for supported data types.", name)
	case !f.Indexed():
		return nil, schema.Unsupported("filter_by: a vector")
	}
	c := &Clause{Field: f}
	switch {
	case f.Text():
		err = c.text(raw, p.options.Over)
	case f.Kind == schema.Bool:
		err = c.boolean(raw)
	default:
		err = c.number(raw)
	}
	return &Node{Op: Leaf, Clause: c}, err
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

// raw is a value as written: its items and what stood before them.
type raw struct {
	negate, exact bool
	list          bool
	broken        bool // a bracket without its partner
	items         []item
}

type item struct {
	text    string
	literal bool // it stood between backticks
}

func (p *parser) value() (raw, error) {
	var v raw
	switch {
	case p.at("!="):
		v.negate, v.exact, p.pos = true, true, p.pos+2
	case p.at("!"):
		v.negate, p.pos = true, p.pos+1
	case p.at("="):
		v.exact, p.pos = true, p.pos+1
	}
	p.blanks()
	if p.at("[") {
		p.pos++
		return v, p.items(&v)
	}
	it, err := p.bare(false)
	v.items = []item{it}
	return v, err
}

func (p *parser) items(v *raw) error {
	v.list = true
	for {
		p.blanks()
		it, err := p.bare(true)
		if err != nil {
			return err
		}
		if it.text != "" || it.literal {
			v.items = append(v.items, it)
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
			v.broken = true
			return nil
		}
	}
}

// bare reads up to the end of an item: the next operator or closing parenthesis, in a list also comma or bracket.
// Parentheses that open inside the value are part of it; between backticks everything is.
func (p *parser) bare(inList bool) (item, error) {
	var b strings.Builder
	var it item
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
			it.literal = true
			continue
		case inList && (c == ',' || c == ']') && depth == 0, p.at("&&") && !inList, p.at("||") && !inList, c == ')' && depth == 0 && !inList, c == '}' && p.braces > 0 && !inList:
			it.text = strings.TrimSpace(b.String())
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
	it.text = strings.TrimSpace(b.String())
	return it, nil
}

func idClause(v raw) *Clause {
	c := &Clause{Negate: v.negate}
	for _, it := range v.items {
		if it.text == "*" && !it.literal && !v.list {
			c.All = true
		}
		c.Words = append(c.Words, Words{Text: it.text, Exact: true})
	}
	return c
}

func (c *Clause) empty() error {
	return refuse("Error with filter field `%s`: Filter value cannot be empty.", c.Field.Name)
}

// itemsBetween is how many items are cut into words between two questions whether the time is over.
const itemsBetween = 256

func (c *Clause) text(v raw, over func() error) error {
	c.Negate = v.negate
	if v.broken {
		return errSyntax
	}
	for i, it := range v.items {
		if over != nil && i%itemsBetween == itemsBetween-1 {
			if err := over(); err != nil {
				return err
			}
		}
		w := Words{Text: it.text, Exact: v.exact}
		if !it.literal && strings.HasSuffix(it.text, "*") {
			w.Prefix, w.Text = true, strings.TrimSuffix(it.text, "*")
		}
		if w.Text == "" {
			return c.empty()
		}
		w.List = c.Field.Analyzer().Words(w.Text)
		c.Words = append(c.Words, w)
	}
	if len(c.Words) == 0 {
		return c.empty()
	}
	return nil
}

func (c *Clause) boolean(v raw) error {
	wrong := refuse("Value of filter field `%s` must be `true` or `false`.", c.Field.Name)
	if v.negate && !v.exact || v.broken || len(v.items) == 0 {
		return wrong
	}
	c.Negate = v.negate
	for _, it := range v.items {
		n := int64(0)
		switch it.text {
		case "true":
			n = 1
		case "false":
		default:
			return wrong
		}
		c.Ints = append(c.Ints, Range[int64]{n, n})
	}
	return nil
}

// comparators in the order in which they must be tried.
var comparators = []string{">=", "<=", ">", "<", "!=", "="}

func (c *Clause) number(v raw) error {
	if v.negate && !v.exact || v.broken || len(v.items) == 0 {
		return c.comparator()
	}
	c.Negate = v.negate
	for _, it := range v.items {
		cmp, rest := "", it.text
		for _, s := range comparators {
			if strings.HasPrefix(rest, s) {
				cmp, rest = s, strings.TrimSpace(rest[len(s):])
				break
			}
		}
		if cmp == "!=" && v.list {
			return c.comparator()
		}
		var err error
		if c.Field.Kind == schema.Float {
			err = c.float(cmp, rest)
		} else {
			err = c.whole(cmp, rest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Clause) comparator() error {
	return refuse("Error with filter field `%s`: Numerical field has an invalid comparator.", c.Field.Name)
}

// bounds splits "low..high".
func bounds(cmp, s string) (low, high string, ok bool) {
	if cmp != "" && cmp != "=" {
		return "", "", false
	}
	low, high, ok = strings.Cut(s, "..")
	return strings.TrimSpace(low), strings.TrimSpace(high), ok
}

func (c *Clause) whole(cmp, s string) error {
	if low, high, ok := bounds(cmp, s); ok {
		a, err := c.integer(low, "")
		if err != nil {
			return err
		}
		b, err := c.integer(high, "")
		c.Ints = append(c.Ints, Range[int64]{a, b})
		return err
	}
	n, err := c.integer(s, cmp)
	if err != nil {
		return err
	}
	r := Range[int64]{n, n}
	switch cmp {
	case ">":
		r = Range[int64]{n + 1, math.MaxInt64}
	case ">=":
		r.High = math.MaxInt64
	case "<":
		r = Range[int64]{math.MinInt64, n - 1}
	case "<=":
		r.Low = math.MinInt64
	}
	if cmp == ">" && n == math.MaxInt64 || cmp == "<" && n == math.MinInt64 {
		r = Range[int64]{1, 0}
	}
	c.Ints = append(c.Ints, r)
	return nil
}

func (c *Clause) integer(s, cmp string) (int64, error) {
	bits, name := 64, "int64"
	if c.Field.Kind == schema.Int32 {
		bits, name = 32, "int32"
	}
	n, err := strconv.ParseInt(s, 10, bits)
	switch {
	case err == nil:
		return n, nil
	case isRange(err):
		return 0, refuse("Error with filter field `%s`: The value exceeds the range of an %s.", c.Field.Name, name)
	case cmp != "":
		return 0, refuse("Error with filter field `%s`: Not an %s.", c.Field.Name, name)
	}
	return 0, c.comparator()
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

func (c *Clause) float(cmp, s string) error {
	if low, high, ok := bounds(cmp, s); ok {
		a, err := c.real(low, "")
		if err != nil {
			return err
		}
		b, err := c.real(high, "")
		c.Floats = append(c.Floats, Range[float64]{a, b})
		return err
	}
	n, err := c.real(s, cmp)
	if err != nil {
		return err
	}
	r := Range[float64]{n, n}
	switch cmp {
	case ">":
		r = Range[float64]{math.Nextafter(n, math.Inf(1)), math.Inf(1)}
	case ">=":
		r.High = math.Inf(1)
	case "<":
		r = Range[float64]{math.Inf(-1), math.Nextafter(n, math.Inf(-1))}
	case "<=":
		r.Low = math.Inf(-1)
	}
	c.Floats = append(c.Floats, r)
	return nil
}

// real reads a float as the index holds it: 32 bits wide.
func (c *Clause) real(s, cmp string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err == nil && !math.IsNaN(n) && strings.Trim(s, "+-.0123456789eE") == "" {
		return float64(float32(n)), nil
	}
	if cmp != "" {
		return 0, refuse("Error with filter field `%s`: Not a float.", c.Field.Name)
	}
	return 0, c.comparator()
}
