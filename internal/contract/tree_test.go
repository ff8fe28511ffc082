package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// This file is the earlier check of bodies, from before the tape: it parses a body to a tree and walks it. It is the oracle of the tape's tests, and
// simple where the tape is fast. It shares the schemas, but no reader, no table of names, no pattern matcher and no comparison of numbers.

// treeBody checks a JSON body as Operation.CheckBody and CheckResponse do.
func treeBody(d direction, s *schema, text []byte) error {
	value, fault := parseTree(text)
	if fault != nil {
		return malformedBody(fault.rule, fault.at().pointer())
	}
	c := &treeChecker{in: "body", direction: d}
	c.value(s, value, &treePlace{})
	if len(c.found) == 0 {
		return nil
	}
	e := problem.New(problem.InvalidBody, "The body does not match the contract.")
	e.Fields, e.Truncated = c.found, c.more
	return e
}

// object is a JSON object in the order it was sent. Keys are unique.
type object struct {
	keys   []string
	values []any
	index  map[string]int // only for larger objects
}

func (o *object) get(key string) (any, bool) {
	if o.index != nil {
		i, ok := o.index[key]
		if !ok {
			return nil, false
		}
		return o.values[i], true
	}
	for i, k := range o.keys {
		if k == key {
			return o.values[i], true
		}
	}
	return nil, false
}

// fewMembers is the initial capacity for members of an object.
const fewMembers = 8

// add appends a member. It returns false when the object already has the key.
func (o *object) add(key string, value any) bool {
	if _, taken := o.get(key); taken {
		return false
	}
	if o.keys == nil {
		o.keys, o.values = make([]string, 0, fewMembers), make([]any, 0, fewMembers)
	}
	o.keys, o.values = append(o.keys, key), append(o.values, value)
	switch {
	case o.index != nil:
		o.index[key] = len(o.keys) - 1
	case len(o.keys) > 16:
		o.index = make(map[string]int, 2*len(o.keys))
		for i, k := range o.keys {
			o.index[k] = i
		}
	}
	return true
}

// treeFault has the rule of the JSON text that was violated, the position in bytes, and the value around it.
type treeFault struct {
	rule   Rule
	offset int
	within []treePlace // steps from the innermost value outwards, their parents unset
}

// in records that the fault is in a member or an item.
func (e *treeFault) in(step treePlace) *treeFault {
	e.within = append(e.within, step)
	return e
}

// at returns the place of the fault.
func (e *treeFault) at() *treePlace {
	at := &treePlace{}
	for _, step := range slices.Backward(e.within) {
		step.parent = at
		at = &step
	}
	return at
}

func (e *treeFault) Error() string { return string(e.rule) + " at byte " + strconv.Itoa(e.offset) }

// parseTree reads exactly one JSON text (RFC 8259) and nothing after it but white space. Values are nil, bool, json.Number
// (the digits as sent), string, []any and *object. It refuses what other parsers may read differently: duplicate keys,
// invalid UTF-8, lone surrogates, U+0000, nesting deeper than MaxDepth.
func parseTree(text []byte) (any, *treeFault) {
	p := &jsonParser{text: string(text)}
	if strings.HasPrefix(p.text, "\xEF\xBB\xBF") {
		return nil, p.fail(RuleJSONUTF8)
	}
	p.space()
	value, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at != len(p.text) {
		return nil, p.fail(RuleJSONTrailing)
	}
	return value, nil
}

// jsonParser reads from one copy of the text. Strings and numbers are parts of that copy and need no further memory.
type jsonParser struct {
	text string
	at   int
}

func (p *jsonParser) fail(rule Rule) *treeFault { return treeFaultAt(rule, p.at) }

func treeFaultAt(rule Rule, offset int) *treeFault { return &treeFault{rule: rule, offset: offset} }

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next returns the byte at the cursor, or 0 at the end; 0 is never valid JSON outside an escape.
func (p *jsonParser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *jsonParser) value(depth int) (any, *treeFault) {
	switch c := p.next(); {
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.array(depth + 1)
	case c == '"':
		return p.str()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return true, p.literal("true")
	case c == 'f':
		return false, p.literal("false")
	case c == 'n':
		return nil, p.literal("null")
	}
	return nil, p.fail(RuleJSONSyntax)
}

func (p *jsonParser) literal(word string) *treeFault {
	if len(p.text)-p.at < len(word) || p.text[p.at:p.at+len(word)] != word {
		return p.fail(RuleJSONSyntax)
	}
	p.at += len(word)
	return nil
}

func (p *jsonParser) object(depth int) (any, *treeFault) {
	if depth > MaxDepth {
		return nil, p.fail(RuleJSONDepth)
	}
	p.at++
	o := &object{}
	p.space()
	if p.next() == '}' {
		p.at++
		return o, nil
	}
	for {
		if p.next() != '"' {
			return nil, p.fail(RuleJSONSyntax)
		}
		start := p.at
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.next() != ':' {
			return nil, p.fail(RuleJSONSyntax)
		}
		p.at++
		p.space()
		value, err := p.value(depth)
		if err != nil {
			return nil, err.in(treePlace{key: key})
		}
		if !o.add(key, value) {
			return nil, treeFaultAt(RuleJSONDuplicateKey, start).in(treePlace{key: key})
		}
		p.space()
		switch p.next() {
		case ',':
			p.at++
			p.space()
		case '}':
			p.at++
			return o, nil
		default:
			return nil, p.fail(RuleJSONSyntax)
		}
	}
}

func (p *jsonParser) array(depth int) (any, *treeFault) {
	if depth > MaxDepth {
		return nil, p.fail(RuleJSONDepth)
	}
	p.at++
	list := []any{}
	p.space()
	if p.next() == ']' {
		p.at++
		return list, nil
	}
	for {
		value, err := p.value(depth)
		if err != nil {
			return nil, err.in(treePlace{index: len(list), isItem: true})
		}
		list = append(list, value)
		p.space()
		switch p.next() {
		case ',':
			p.at++
			p.space()
		case ']':
			p.at++
			return list, nil
		default:
			return nil, p.fail(RuleJSONSyntax)
		}
	}
}

func (p *jsonParser) number() (any, *treeFault) {
	start := p.at
	for p.at < len(p.text) && isNumberByte(p.text[p.at]) {
		p.at++
	}
	literal := p.text[start:p.at]
	if !numberLiteral(literal) {
		return nil, treeFaultAt(RuleJSONSyntax, start)
	}
	if len(literal) > maxNumber {
		return nil, treeFaultAt(RuleJSONNumber, start)
	}
	if strings.ContainsAny(literal, "eE") { // without an exponent maxNumber keeps it in range
		if _, err := strconv.ParseFloat(literal, 64); err != nil { // out of the range of any number we know
			return nil, treeFaultAt(RuleJSONNumber, start)
		}
	}
	return json.Number(literal), nil
}

// str reads a string; the cursor is on the opening quote.
func (p *jsonParser) str() (string, *treeFault) {
	p.at++
	start := p.at
	for p.at < len(p.text) { // without escapes the text itself is the value
		c := p.text[p.at]
		switch {
		case c == '"':
			s := p.text[start:p.at]
			if !utf8.ValidString(s) {
				return "", treeFaultAt(RuleJSONUTF8, start)
			}
			p.at++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail(RuleJSONSyntax)
		}
		p.at++
	}
	return "", p.fail(RuleJSONSyntax)
}

// escaped reads the rest of a string that has escapes; the cursor is on the first backslash.
func (p *jsonParser) escaped(start int) (string, *treeFault) {
	out := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", treeFaultAt(RuleJSONUTF8, start)
			}
			p.at++
			return string(out), nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			continue
		case c < 0x20:
			return "", p.fail(RuleJSONSyntax)
		}
		out = append(out, c)
		p.at++
	}
	return "", p.fail(RuleJSONSyntax)
}

// escape reads one escape, a surrogate pair as one rune.
func (p *jsonParser) escape() (rune, *treeFault) {
	if p.at+1 >= len(p.text) {
		return 0, p.fail(RuleJSONSyntax)
	}
	if r, ok := shortEscapes[p.text[p.at+1]]; ok {
		p.at += 2
		return r, nil
	}
	r, ok := p.hex4()
	if !ok {
		return 0, p.fail(RuleJSONSyntax)
	}
	if r == 0 {
		return 0, p.fail(RuleJSONNUL)
	}
	p.at += 6
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	low, ok := p.hex4()
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		p.at += 6
		return pair, nil
	}
	return 0, p.fail(RuleJSONUTF8)
}

// hex4 reads \uXXXX at the cursor without moving it.
func (p *jsonParser) hex4() (rune, bool) {
	if p.at+6 > len(p.text) || p.text[p.at] != '\\' || p.text[p.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.text[p.at+2 : p.at+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// treeChecker collects the violations of one value. It never keeps the value.
type treeChecker struct {
	in        string // "body", or where the parameter is
	direction direction
	quiet     bool // only the answer counts, not the violations
	found     []problem.Field
	more      bool
}

// treePlace is a position in the value, as a list back to the root.
type treePlace struct {
	parent *treePlace
	key    string
	index  int
	isItem bool
}

func (at *treePlace) pointer() string {
	var parts []string
	for p := at; p != nil && p.parent != nil; p = p.parent {
		if p.isItem {
			parts = append(parts, strconv.Itoa(p.index))
		} else {
			parts = append(parts, p.key)
		}
	}
	slices.Reverse(parts)
	return joinPointer(parts)
}

// fail records a violation and returns false.
func (c *treeChecker) fail(at *treePlace, keyword, format string, args ...any) bool {
	switch {
	case c.quiet:
	case len(c.found) >= problem.MaxFields:
		c.more = true
	default:
		message := fmt.Sprintf(format, args...)
		if len(message) > 250 {
			message = strings.ToValidUTF8(message[:247], "") + "..."
		}
		c.found = append(c.found, problem.Field{In: c.in, Pointer: at.pointer(), Keyword: keyword, Message: message})
	}
	return false
}

// full reports whether further checks can't change the result.
func (c *treeChecker) full(ok bool) bool { return !ok && (c.quiet || c.more) }

// matches reports whether value meets s, without recording violations.
func (c *treeChecker) matches(s *schema, value any, at *treePlace) bool {
	quiet := treeChecker{in: c.in, direction: c.direction, quiet: true}
	return quiet.part(s, value, at)
}

// value checks value against s. An answer may contain only properties that the contract lists, unless the contract says additionalProperties: an
// unknown property could be a secret.
func (c *treeChecker) value(s *schema, value any, at *treePlace) bool {
	ok := c.part(s, value, at)
	o, isObject := value.(*object)
	if !isObject || c.direction != outbound || s.listed == nil {
		return ok
	}
	for _, key := range o.keys {
		if s.listed.find(key) == nil {
			ok = c.fail(&treePlace{parent: at, key: key}, string(RuleUndeclared), "is not declared")
		}
	}
	return ok
}

// part checks value against s, where other parts of a composition may list further properties.
func (c *treeChecker) part(s *schema, value any, at *treePlace) bool {
	if value == nil && s.nullable {
		return true
	}
	ok := c.composition(s, value, at)
	if c.full(ok) {
		return false
	}
	if value == nil {
		if s.oneOf == nil && s.anyOf == nil && s.allOf == nil {
			return c.fail(at, "nullable", "must not be null")
		}
		return ok
	}
	if s.enum != nil && !slices.ContainsFunc(s.enum.values, func(one string) bool {
		listed, _ := parseTree([]byte(one))
		return equal(listed, value)
	}) {
		ok = c.fail(at, "enum", "%s", s.say.enum)
	}
	switch v := value.(type) {
	case bool:
		return c.kind(s, typeBoolean, at) && ok
	case json.Number:
		return c.number(s, v, at) && ok
	case string:
		return c.str(s, v, at) && ok
	case []any:
		return c.array(s, v, at) && ok
	case *object:
		return c.object(s, v, at) && ok
	}
	return c.fail(at, "type", "has no JSON type")
}

// kind checks the value's type.
func (c *treeChecker) kind(s *schema, t typeSet, at *treePlace) bool {
	if s.types == 0 || s.types&t != 0 {
		return true
	}
	return c.fail(at, "type", "must be of type %s", s.types)
}

func (c *treeChecker) number(s *schema, n json.Number, at *treePlace) bool {
	if !c.kind(s, typeInteger|typeNumber, at) {
		return false
	}
	ok := true
	if s.integer && !c.integer(s, n, at) {
		return false
	}
	if s.minimum == nil && s.maximum == nil && s.multiple == nil {
		return ok
	}
	d := newDecimal(string(n))
	float, err := n.Float64()
	if err != nil {
		return c.fail(at, "type", "is out of the range of numbers")
	}
	if m := s.minimum; m != nil {
		low := d.compare(m.decimal) < 0 || float < m.float
		if m.exclusive && (low || d.compare(m.decimal) == 0 || float == m.float) {
			ok = c.fail(at, "exclusiveMinimum", "must be more than %v", m.float)
		} else if low {
			ok = c.fail(at, "minimum", "must be at least %v", m.float)
		}
	}
	if m := s.maximum; m != nil {
		high := d.compare(m.decimal) > 0 || float > m.float
		if m.exclusive && (high || d.compare(m.decimal) == 0 || float == m.float) {
			ok = c.fail(at, "exclusiveMaximum", "must be less than %v", m.float)
		} else if high {
			ok = c.fail(at, "maximum", "must be at most %v", m.float)
		}
	}
	if s.multiple != nil && !d.multipleOf(s.multiple.decimal) {
		ok = c.fail(at, "multipleOf", "is not a multiple of what the contract says")
	}
	return ok
}

// integer accepts only digits, within the size of the format: what a Go integer holds without loss.
func (c *treeChecker) integer(s *schema, n json.Number, at *treePlace) bool {
	if _, err := strconv.ParseInt(string(n), 10, s.bits); err == nil {
		return true
	}
	if d := newDecimal(string(n)); d.sign() != 0 && len(d.digits) > d.exponent {
		return c.fail(at, "type", "must be of type integer")
	}
	return c.fail(at, string(RuleIntegerExact), "must be an integer of at most %d bits, written as digits", s.bits)
}

func (c *treeChecker) str(s *schema, v string, at *treePlace) bool {
	if !c.kind(s, typeString, at) {
		return false
	}
	ok := true
	if s.minLength > 0 || s.maxLength >= 0 {
		n := utf8.RuneCountInString(v)
		if n < s.minLength {
			ok = c.fail(at, "minLength", "%s", must("at least", s.minLength, "character"))
		}
		if s.maxLength >= 0 && n > s.maxLength {
			return c.fail(at, "maxLength", "%s", must("at most", s.maxLength, "character")) // a pattern is not run over it
		}
	}
	if s.pattern != nil && !s.pattern.expression.MatchString(v) {
		ok = c.fail(at, "pattern", "must match %s", s.pattern.expression)
	}
	if s.isFormat != nil && !s.isFormat(v) {
		ok = c.fail(at, string(RuleFormat), "%s", s.say.format)
	}
	return ok
}

func (c *treeChecker) array(s *schema, list []any, at *treePlace) bool {
	if !c.kind(s, typeArray, at) {
		return false
	}
	if len(list) < s.minItems {
		c.fail(at, "minItems", "%s", must("at least", s.minItems, "item"))
	}
	if s.maxItems >= 0 && len(list) > s.maxItems {
		return c.fail(at, "maxItems", "%s", must("at most", s.maxItems, "item"))
	}
	ok := len(list) >= s.minItems
	if s.items != nil {
		item := &treePlace{parent: at, isItem: true} // one for all: a place is read when a violation is found, and not kept
		for i, v := range list {
			item.index = i
			ok = c.value(s.items, v, item) && ok
			if c.full(ok) {
				return false
			}
		}
	}
	if s.uniqueItems && !unique(list) {
		ok = c.fail(at, "uniqueItems", "must not have the same item twice")
	}
	return ok
}

func (c *treeChecker) object(s *schema, o *object, at *treePlace) bool {
	if !c.kind(s, typeObject, at) {
		return false
	}
	ok := true
	if len(o.keys) < s.minProperties {
		ok = c.fail(at, "minProperties", "%s", must("at least", s.minProperties, "property"))
	}
	if s.maxProperties >= 0 && len(o.keys) > s.maxProperties {
		return c.fail(at, "maxProperties", "%s", must("at most", s.maxProperties, "property"))
	}
	member := &treePlace{parent: at}
	for i, key := range o.keys {
		member.key = key
		ok = c.member(s, key, o.values[i], member) && ok
		if c.full(ok) {
			return false
		}
	}
	for _, r := range s.required {
		name := r.name
		if _, there := o.get(name); there {
			continue
		}
		p := s.properties[name]
		if p != nil && (p.readOnly && c.direction == inbound || p.writeOnly && c.direction == outbound) {
			continue
		}
		ok = c.fail(&treePlace{parent: at, key: name}, "required", "is required")
	}
	return ok
}

// member checks one property of an object.
func (c *treeChecker) member(s *schema, key string, value any, at *treePlace) bool {
	if p, declared := s.properties[key]; declared {
		switch {
		case p.readOnly && c.direction == inbound:
			return c.fail(at, "readOnly", "is set by the service and must not be sent")
		case p.writeOnly && c.direction == outbound:
			return c.fail(at, "writeOnly", "must not be in an answer")
		}
		return c.value(p.schema, value, at)
	}
	for _, name := range slices.Sorted(maps.Keys(s.properties)) {
		if strings.EqualFold(name, key) {
			return c.fail(at, string(RuleCaseVariant), "differs from %s in case only", name)
		}
	}
	if s.closed {
		return c.fail(at, "additionalProperties", "is not a property of this object")
	}
	if s.additional != nil {
		return c.value(s.additional, value, at)
	}
	return true
}

// composition checks not, oneOf, anyOf and allOf.
func (c *treeChecker) composition(s *schema, value any, at *treePlace) bool {
	ok := true
	if s.not != nil && c.matches(s.not, value, at) {
		ok = c.fail(at, "not", "is what the contract excludes")
	}
	if len(s.oneOf) > 0 {
		ok = c.alternatives(s, s.oneOf, "oneOf", value, at) && ok
	}
	if len(s.anyOf) > 0 {
		ok = c.alternatives(s, s.anyOf, "anyOf", value, at) && ok
	}
	for _, part := range s.allOf {
		ok = c.part(part, value, at) && ok
		if c.full(ok) {
			return false
		}
	}
	return ok
}

func (c *treeChecker) alternatives(s *schema, list []*schema, keyword string, value any, at *treePlace) bool {
	if d := s.discriminator; d != nil {
		if o, isObject := value.(*object); isObject {
			return c.discriminated(d, list, o, at)
		}
	}
	if len(list) == 1 {
		return c.part(list[0], value, at)
	}
	count := 0
	for _, one := range list {
		if c.matches(one, value, at) {
			count++
		}
	}
	switch {
	case count == 0:
		return c.fail(at, keyword, "matches none of the %d alternatives", len(list))
	case count > 1 && keyword == "oneOf":
		return c.fail(at, keyword, "matches more than one alternative")
	}
	return true
}

// discriminated checks value against the alternative that value itself names, so that the violations are those of that alternative.
func (c *treeChecker) discriminated(d *discriminator, list []*schema, o *object, at *treePlace) bool {
	named := &treePlace{parent: at, key: d.property}
	raw, there := o.get(d.property)
	if !there {
		return c.fail(named, "discriminator", "is required")
	}
	name, isString := raw.(string)
	i, known := d.choice[name]
	if !isString || !known {
		return c.fail(named, "discriminator", "names no alternative")
	}
	return c.part(list[i], o, at)
}

// unique reports whether no two items are equal as JSON values.
func unique(list []any) bool {
	seen := make(map[string]bool, len(list))
	for _, v := range list {
		key := string(canonical(nil, v))
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

// equal compares two values of parseJSON; numbers by their value.
func equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case nil:
		return b == nil
	}
	return string(canonical(nil, a)) == string(canonical(nil, b))
}

// canonical appends a text that is equal for equal values.
func canonical(out []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(out, 'n')
	case bool:
		return strconv.AppendBool(out, v)
	case json.Number:
		d := newDecimal(string(v))
		out = append(out, '#')
		if d.negative {
			out = append(out, '-')
		}
		out = append(out, d.digits...)
		return strconv.AppendInt(append(out, 'e'), int64(d.exponent), 10)
	case string:
		return strconv.AppendQuote(out, v)
	case []any:
		out = append(out, '[')
		for _, item := range v {
			out = append(canonical(out, item), ',')
		}
		return append(out, ']')
	case *object:
		keys := slices.Sorted(slices.Values(v.keys))
		out = append(out, '{')
		for _, k := range keys {
			value, _ := v.get(k)
			out = append(strconv.AppendQuote(out, k), ':')
			out = append(canonical(out, value), ',')
		}
		return append(out, '}')
	}
	return append(out, '?')
}
