package contract

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fountainai/fountain/internal/problem"
)

// direction says whether a value belongs to a request or an answer, for readOnly and writeOnly.
type direction int

const (
	inbound direction = iota + 1
	outbound
)

// checker checks the values of one tape against schemas and collects the violations. Violations repeat nothing of the values, so that the memory can
// be reused. Checks run in the order of the contract: composition, type, members as they were sent, then missing members.
type checker struct {
	tape
	direction direction
	in        string // "body", or where the parameter is
	name      string // of the parameter; "" in a body
	quiet     bool   // only the result is needed, not the violations
	found     []problem.Field
	more      bool
	forms     []byte // canonical forms of values that are compared
	pairs     pairs  // of the query or the form
	steps     int    // number of schema checks of adopted documents
	within    []held // the values being checked against recursive schemas
	matching  int    // the cost so far of patterns and enumerations of adopted documents; see maxMatching
}

var checkers = sync.Pool{New: func() any { return &checker{} }}

// newChecker returns a checker from the pool. release returns it.
func newChecker(d direction, in string) *checker {
	c := checkers.Get().(*checker)
	c.direction, c.in = d, in
	return c
}

// maxPooled is the maximum size of memory that is kept for reuse, in bytes.
const maxPooled = 256 << 10

// release clears the checker and returns it to the pool.
func (c *checker) release() {
	c.reset("")
	clear(c.scratch[:c.used])
	clear(c.pairs)
	kept := checker{forms: c.forms[:0], pairs: c.pairs[:0]}
	kept.tokens, kept.scratch, kept.keys = c.tokens[:0], c.scratch[:0], c.keys[:0]
	if int64(cap(kept.tokens))*tokenSize > maxPooled {
		large := kept.tokens
		largeTokens.Put(&large)
		kept.tokens = nil
	}
	if int64(cap(kept.tokens))*tokenSize+int64(cap(kept.scratch))+4*int64(cap(kept.keys))+int64(cap(kept.forms)) > maxPooled {
		return
	}
	*c = kept
	checkers.Put(c)
}

// pointer returns the place of a value as a JSON pointer (RFC 6901), followed by the name of a missing member, if any.
func (c *checker) pointer(v int, missing ...string) string {
	var parts []string
	for at := 0; at != v; {
		inside, isObject := at+1, c.tokens[at].kind == kindObject
		for i := 0; ; i++ {
			part := strconv.Itoa(i)
			if isObject {
				part = c.text(inside)
				inside++
			}
			if next := c.after(inside); v < next {
				parts, at = append(parts, part), inside
				break
			} else {
				inside = next
			}
		}
	}
	within := joinPointer(append(parts, missing...))
	if c.name == "" || len(c.name) > maxNamed {
		return within
	}
	return "/" + pointerEscapes.Replace(c.name) + within // the contract has chosen it, so it may have any form
}

// maxNamed is the maximum length of a parameter's name in an error, in bytes.
const maxNamed = 200

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// joinPointer writes a JSON pointer. It stops at a key chosen by the sender that is not a plain name, so that no content is repeated.
func joinPointer(parts []string) string {
	var out strings.Builder
	for _, part := range parts {
		if !plainName(part) || out.Len()+len(part) > 480 {
			break
		}
		out.WriteByte('/')
		out.WriteString(pointerEscapes.Replace(part))
	}
	return out.String()
}

// plainName reports whether a key may be repeated in an error.
func plainName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.$@", r))
	})
}

// fail records a violation at a value and returns false. missing is the name of a missing member.
func (c *checker) fail(v int, keyword, message string, missing ...string) bool {
	switch {
	case c.quiet:
	case len(c.found) >= problem.MaxFields:
		c.more = true
	default:
		c.found = append(c.found, problem.Field{In: c.in, Pointer: c.pointer(v, missing...), Keyword: keyword, Message: message})
	}
	return false
}

// failAt records a violation of a parameter or header as a whole, and returns false.
func (c *checker) failAt(name, keyword, message string) bool {
	c.reset("")
	c.name = name
	return c.fail(0, keyword, message)
}

// full reports whether further checks cannot change the result.
func (c *checker) full(ok bool) bool { return !ok && (c.quiet || c.more) }

// matches reports whether a value satisfies s, without recording violations.
func (c *checker) matches(s *schema, v int) bool {
	before := c.quiet
	c.quiet = true
	ok := c.part(s, v)
	c.quiet = before
	return ok
}

// check checks a value against s. An answer may only have the properties that the contract lists, unless it says additionalProperties: an undeclared
// property could be a secret.
func (c *checker) check(s *schema, v int) bool {
	ok := c.part(s, v)
	if c.direction != outbound || s.listed == nil || c.tokens[v].kind != kindObject {
		return ok
	}
	at := v + 1
	for range c.count(v) {
		if s.listed.find(c.text(at)) == nil {
			ok = c.fail(at+1, string(RuleUndeclared), "is not declared")
		}
		at = c.after(at + 1)
	}
	return ok
}

// part checks a value against s as a part of a composition, whose other parts may list properties, too.
func (c *checker) part(s *schema, v int) bool {
	if s.adopted != nil {
		return c.adoptedPart(s, v)
	}
	k, ok := c.tokens[v].kind, true
	if k == kindNull && s.nullable {
		return true
	}
	if s.composed {
		if ok = c.composition(s, v); c.full(ok) {
			return false
		}
	}
	if k == kindNull {
		if s.oneOf == nil && s.anyOf == nil && s.allOf == nil {
			return c.fail(v, "nullable", "must not be null")
		}
		return ok
	}
	if s.enum != nil && !c.listed(s.enum, v) {
		ok = c.fail(v, "enum", s.say.enum)
	}
	if s.types != 0 && s.types&kindTypes[k] == 0 {
		return c.fail(v, "type", s.say.types)
	}
	switch k {
	case kindNumber:
		return c.numeric(s, v) && ok
	case kindString:
		return c.textual(s, v) && ok
	case kindArray:
		return c.items(s, v) && ok
	case kindObject:
		return c.members(s, v) && ok
	}
	return ok
}

// listed reports whether a value is in an enum; numbers are compared by value.
func (c *checker) listed(e *enum, v int) bool {
	if c.tokens[v].kind == kindString {
		return slices.Contains(e.texts, c.text(v))
	}
	if len(e.others) == 0 {
		return false
	}
	before := len(c.forms)
	c.forms = c.canonical(room(c.forms, c.formSize(v)), v)
	found := slices.Contains(e.others, aliased(c.forms[before:]))
	c.cut(before)
	return found
}

func (c *checker) numeric(s *schema, v int) bool {
	literal := c.text(v)
	if s.integer && !c.integer(s, v, literal) {
		return false
	}
	ok := true
	if m := s.minimum; m != nil {
		if low, same, _ := m.compare(literal); low || same && m.exclusive {
			ok = c.fail(v, m.keyword, m.message)
		}
	}
	if m := s.maximum; m != nil {
		if _, same, high := m.compare(literal); high || same && m.exclusive {
			ok = c.fail(v, m.keyword, m.message)
		}
	}
	if s.multiple != nil && !s.multiple.divides(literal) {
		ok = c.fail(v, "multipleOf", "is not a multiple of what the contract says")
	}
	return ok
}

// integer accepts digits only, within the format's size: what a Go integer holds without loss.
func (c *checker) integer(s *schema, v int, literal string) bool {
	if _, err := strconv.ParseInt(literal, 10, s.bits); err == nil {
		return true
	}
	if d := newDecimal(literal); d.sign() != 0 && len(d.digits) > d.exponent {
		return c.fail(v, "type", "must be of type integer")
	}
	if s.adopted != nil {
		return true // by value, however it is written
	}
	return c.fail(v, string(RuleIntegerExact), s.say.integer)
}

func (c *checker) textual(s *schema, v int) bool {
	ok := true
	if s.minLength > 0 || s.maxLength >= 0 {
		n := c.length(v)
		if n < s.minLength {
			ok = c.fail(v, "minLength", s.say.minLength)
		}
		if s.maxLength >= 0 && n > s.maxLength {
			return c.fail(v, "maxLength", s.say.maxLength) // the pattern is not evaluated on it
		}
	}
	if s.pattern != nil && !c.fits(s.pattern, v) {
		ok = c.fail(v, "pattern", s.say.pattern)
	}
	if s.isFormat != nil && !s.isFormat(c.text(v)) {
		ok = c.fail(v, string(RuleFormat), s.say.format)
	}
	return ok
}

func (c *checker) items(s *schema, v int) bool {
	count, ok := c.count(v), true
	if count < s.minItems {
		ok = c.fail(v, "minItems", s.say.minItems)
	}
	if s.maxItems >= 0 && count > s.maxItems {
		return c.fail(v, "maxItems", s.say.maxItems)
	}
	if s.items != nil {
		item := v + 1
		for range count {
			ok = c.check(s.items, item) && ok
			if c.full(ok) {
				return false
			}
			item = c.after(item)
		}
	}
	if s.uniqueItems && !c.unique(v) {
		ok = c.fail(v, "uniqueItems", "must not have the same item twice")
	}
	return ok
}

func (c *checker) members(s *schema, v int) bool {
	count, ok := c.count(v), true
	if count < s.minProperties {
		ok = c.fail(v, "minProperties", s.say.minProperties)
	}
	if s.maxProperties >= 0 && count > s.maxProperties {
		return c.fail(v, "maxProperties", s.say.maxProperties)
	}
	var seen uint64
	key := v + 1
	for range count {
		var m *member
		if s.members != nil {
			if m = s.members.find(c.text(key)); m != nil {
				seen |= m.bit
			}
		}
		ok = c.member(s, m, key) && ok
		if c.full(ok) {
			return false
		}
		key = c.after(key + 1)
	}
	if need := s.mask[c.direction]; seen&need == need && !s.overflows {
		return ok
	}
	for _, r := range s.required {
		if r.in[c.direction] && seen&r.bit == 0 && (r.bit != 0 || c.get(v, r.name) < 0) {
			ok = c.fail(v, "required", "is required", r.name)
		}
	}
	return ok
}

// member checks one property of an object; m describes its name, or is nil.
func (c *checker) member(s *schema, m *member, key int) bool {
	v := key + 1
	if m != nil && m.property != nil {
		switch {
		case m.property.readOnly && c.direction == inbound:
			return c.fail(v, "readOnly", "is set by the service and must not be sent")
		case m.property.writeOnly && c.direction == outbound:
			return c.fail(v, "writeOnly", "must not be in an answer")
		}
		return c.check(m.property.schema, v)
	}
	for _, name := range s.spelt {
		if strings.EqualFold(name, c.text(key)) {
			return c.fail(v, string(RuleCaseVariant), "differs from "+name+" in case only")
		}
	}
	if s.closed {
		return c.fail(v, "additionalProperties", "is not a property of this object")
	}
	if s.additional != nil {
		return c.check(s.additional, v)
	}
	return true
}

// composition checks not, oneOf, anyOf and allOf.
func (c *checker) composition(s *schema, v int) bool {
	ok := true
	if s.not != nil && c.matches(s.not, v) {
		ok = c.fail(v, "not", "is what the contract excludes")
	}
	if len(s.oneOf) > 0 {
		ok = c.alternatives(s.discriminator, s.oneOf, "oneOf", s.say.oneOf, v) && ok
	}
	if len(s.anyOf) > 0 {
		ok = c.alternatives(s.discriminator, s.anyOf, "anyOf", s.say.anyOf, v) && ok
	}
	for _, part := range s.allOf {
		ok = c.part(part, v) && ok
		if c.full(ok) {
			return false
		}
	}
	return ok
}

// alternatives checks oneOf or anyOf; none is the message when no alternative is satisfied.
func (c *checker) alternatives(d *discriminator, list []*schema, keyword, none string, v int) bool {
	if list[0].adopted != nil {
		return c.adoptedAlternatives(d, list, keyword, none, v)
	}
	if d != nil && c.tokens[v].kind == kindObject {
		return c.discriminated(d, list, v)
	}
	if len(list) == 1 {
		return c.part(list[0], v)
	}
	count := 0
	for _, one := range list {
		if c.matches(one, v) {
			count++
		}
	}
	switch {
	case count == 0:
		return c.fail(v, keyword, none)
	case count > 1 && keyword == "oneOf":
		return c.fail(v, keyword, "matches more than one alternative")
	}
	return true
}

// discriminated checks the alternative that the value itself names, so that the violations are those of that alternative.
func (c *checker) discriminated(d *discriminator, list []*schema, v int) bool {
	named := c.get(v, d.property)
	if named < 0 {
		return c.fail(v, "discriminator", "is required", d.property)
	}
	if c.tokens[named].kind == kindString {
		if i, known := d.choice[c.text(named)]; known {
			return c.part(list[i], v)
		}
	}
	return c.fail(v, "discriminator", "names no alternative", d.property)
}

// cut discards canonical forms.
func (c *checker) cut(to int) {
	clear(c.forms[to:])
	c.forms = c.forms[:to]
}

// fewItems is the maximum number of items that are compared pairwise.
const fewItems = 16

// unique reports whether no two items of an array are equal as JSON values.
func (c *checker) unique(v int) bool {
	count, before := c.count(v), len(c.forms)
	c.forms = room(c.forms, c.formSize(v))
	defer c.cut(before)
	var few [fewItems]string
	var many map[string]bool
	if count > fewItems {
		many = make(map[string]bool, count)
	}
	item := v + 1
	for i := range count {
		start := len(c.forms)
		c.forms = c.canonical(c.forms, item)
		form := aliased(c.forms[start:])
		if many != nil {
			if many[form] {
				return false
			}
			many[form] = true
		} else {
			if slices.Contains(few[:i], form) {
				return false
			}
			few[i] = form
		}
		item = c.after(item)
	}
	return true
}

// formSize bounds the length of a value's canonical form.
func (t *tape) formSize(v int) int {
	size := 0
	for _, one := range t.tokens[v:t.after(v)] {
		if one.kind < kindArray {
			size += int(one.end - one.start)
		}
		size += formOverhead
	}
	return size
}

// canonical appends a text that is equal for equal values only.
func (t *tape) canonical(out []byte, v int) []byte {
	switch t.tokens[v].kind {
	case kindTrue:
		return append(out, 't')
	case kindFalse:
		return append(out, 'f')
	case kindNumber:
		d := newDecimal(t.text(v))
		out = append(out, '#')
		if d.negative {
			out = append(out, '-')
		}
		out = append(out, d.digits...)
		return strconv.AppendInt(append(out, 'e'), int64(d.exponent), 10)
	case kindString:
		return t.canonicalText(out, v)
	case kindArray:
		out = append(out, '[')
		item := v + 1
		for range t.count(v) {
			out = append(t.canonical(out, item), ',')
			item = t.after(item)
		}
		return append(out, ']')
	case kindObject:
		keys := make([]int, 0, t.count(v))
		for at := v + 1; len(keys) < t.count(v); at = t.after(at + 1) {
			keys = append(keys, at)
		}
		slices.SortFunc(keys, func(a, b int) int { return strings.Compare(t.text(a), t.text(b)) })
		out = append(out, '{')
		for _, key := range keys {
			out = append(t.canonicalText(out, key), ':')
			out = append(t.canonical(out, key+1), ',')
		}
		return append(out, '}')
	}
	return append(out, 'n')
}

// canonicalText appends a string prefixed with its length, which distinguishes it from every other value.
func (t *tape) canonicalText(out []byte, v int) []byte {
	text := t.text(v)
	out = strconv.AppendInt(append(out, '"'), int64(len(text)), 10)
	return append(append(out, ':'), text...)
}
