package contract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// direction says whether a value is on its way in or out, for readOnly and writeOnly.
type direction int

const (
	inbound direction = iota + 1
	outbound
)

// checker collects the violations of one value. It never keeps the value.
type checker struct {
	in        string // "body", or where the parameter is
	direction direction
	quiet     bool // only the answer counts, not the violations
	found     []problem.Field
	more      bool
}

// place is a position in the value, as a list back to the root.
type place struct {
	parent *place
	key    string
	index  int
	isItem bool
}

// pointer returns the JSON pointer (RFC 6901). A key that the sender chose ends it unless it is plainly a name, so that no
// content is repeated.
func (at *place) pointer() string {
	var parts []string
	for p := at; p != nil && p.parent != nil; p = p.parent {
		if p.isItem {
			parts = append(parts, strconv.Itoa(p.index))
		} else {
			parts = append(parts, p.key)
		}
	}
	var out strings.Builder
	for _, part := range slices.Backward(parts) {
		if !plainName(part) || out.Len()+len(part) > 480 {
			break
		}
		out.WriteByte('/')
		out.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
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

// fail records a violation and returns false.
func (c *checker) fail(at *place, keyword, format string, args ...any) bool {
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

// full reports whether going on cannot change the answer.
func (c *checker) full(ok bool) bool { return !ok && (c.quiet || c.more) }

// matches reports whether value meets s, without recording violations.
func (c *checker) matches(s *schema, value any, at *place) bool {
	quiet := checker{in: c.in, direction: c.direction, quiet: true}
	return quiet.part(s, value, at)
}

// value checks value against s. An answer may only have the properties that the contract lists, unless it says additionalProperties: a
// property that it does not know could be a secret.
func (c *checker) value(s *schema, value any, at *place) bool {
	ok := c.part(s, value, at)
	o, isObject := value.(*object)
	if !isObject || c.direction != outbound || s.listed == nil {
		return ok
	}
	for _, key := range o.keys {
		if !s.listed[key] {
			ok = c.fail(&place{parent: at, key: key}, string(RuleUndeclared), "is not declared")
		}
	}
	return ok
}

// part checks value against s, beside which other parts of a composition may list properties too.
func (c *checker) part(s *schema, value any, at *place) bool {
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
	if len(s.enum) > 0 && !slices.ContainsFunc(s.enum, func(one any) bool { return equal(one, value) }) {
		ok = c.fail(at, "enum", "must be one of %s", enumText(s.enum))
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
func (c *checker) kind(s *schema, t typeSet, at *place) bool {
	if s.types == 0 || s.types&t != 0 {
		return true
	}
	return c.fail(at, "type", "must be of type %s", s.types)
}

func enumText(values []any) string {
	var out []string
	for _, v := range values {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	return strings.Join(out, ", ")
}

func (c *checker) number(s *schema, n json.Number, at *place) bool {
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
		low := d.compare(m.at) < 0 || float < m.float
		if m.exclusive && (low || d.compare(m.at) == 0 || float == m.float) {
			ok = c.fail(at, "exclusiveMinimum", "must be more than %v", m.float)
		} else if low {
			ok = c.fail(at, "minimum", "must be at least %v", m.float)
		}
	}
	if m := s.maximum; m != nil {
		high := d.compare(m.at) > 0 || float > m.float
		if m.exclusive && (high || d.compare(m.at) == 0 || float == m.float) {
			ok = c.fail(at, "exclusiveMaximum", "must be less than %v", m.float)
		} else if high {
			ok = c.fail(at, "maximum", "must be at most %v", m.float)
		}
	}
	if s.multiple != nil && !d.multipleOf(*s.multiple) {
		ok = c.fail(at, "multipleOf", "is not a multiple of what the contract says")
	}
	return ok
}

// integer wants digits alone, within the format's size: what a Go integer reads without loss.
func (c *checker) integer(s *schema, n json.Number, at *place) bool {
	if _, err := strconv.ParseInt(string(n), 10, s.bits); err == nil {
		return true
	}
	if d := newDecimal(string(n)); d.sign() != 0 && len(d.digits) > d.exponent {
		return c.fail(at, "type", "must be of type integer")
	}
	return c.fail(at, string(RuleIntegerExact), "must be an integer of at most %d bits, written as digits", s.bits)
}

func (c *checker) str(s *schema, v string, at *place) bool {
	if !c.kind(s, typeString, at) {
		return false
	}
	ok := true
	if s.minLength > 0 || s.maxLength >= 0 {
		n := utf8.RuneCountInString(v)
		if n < s.minLength {
			ok = c.fail(at, "minLength", "must have at least %d characters", s.minLength)
		}
		if s.maxLength >= 0 && n > s.maxLength {
			return c.fail(at, "maxLength", "must have at most %d characters", s.maxLength) // a pattern is not run over it
		}
	}
	if s.pattern != nil && !s.pattern.MatchString(v) {
		ok = c.fail(at, "pattern", "must match %s", s.pattern)
	}
	if s.isFormat != nil && !s.isFormat(v) {
		ok = c.fail(at, string(RuleFormat), "must be of the format %s", s.format)
	}
	return ok
}

func (c *checker) array(s *schema, list []any, at *place) bool {
	if !c.kind(s, typeArray, at) {
		return false
	}
	if len(list) < s.minItems {
		c.fail(at, "minItems", "must have at least %d items", s.minItems)
	}
	if s.maxItems >= 0 && len(list) > s.maxItems {
		return c.fail(at, "maxItems", "must have at most %d items", s.maxItems)
	}
	ok := len(list) >= s.minItems
	if s.items != nil {
		item := &place{parent: at, isItem: true} // one for all: a place is read when a violation is found, and not kept
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

func (c *checker) object(s *schema, o *object, at *place) bool {
	if !c.kind(s, typeObject, at) {
		return false
	}
	ok := true
	if len(o.keys) < s.minProperties {
		ok = c.fail(at, "minProperties", "must have at least %d properties", s.minProperties)
	}
	if s.maxProperties >= 0 && len(o.keys) > s.maxProperties {
		return c.fail(at, "maxProperties", "must have at most %d properties", s.maxProperties)
	}
	member := &place{parent: at}
	for i, key := range o.keys {
		member.key = key
		ok = c.member(s, key, o.values[i], member) && ok
		if c.full(ok) {
			return false
		}
	}
	for _, name := range s.required {
		if _, there := o.get(name); there {
			continue
		}
		p := s.properties[name]
		if p != nil && (p.readOnly && c.direction == inbound || p.writeOnly && c.direction == outbound) {
			continue
		}
		ok = c.fail(&place{parent: at, key: name}, "required", "is required")
	}
	return ok
}

// member checks one property of an object.
func (c *checker) member(s *schema, key string, value any, at *place) bool {
	if p, declared := s.properties[key]; declared {
		switch {
		case p.readOnly && c.direction == inbound:
			return c.fail(at, "readOnly", "is set by the service and must not be sent")
		case p.writeOnly && c.direction == outbound:
			return c.fail(at, "writeOnly", "must not be in an answer")
		}
		return c.value(p.schema, value, at)
	}
	for name := range s.properties {
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
func (c *checker) composition(s *schema, value any, at *place) bool {
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

func (c *checker) alternatives(s *schema, list []*schema, keyword string, value any, at *place) bool {
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
		return c.fail(at, keyword, "fits none of the %d alternatives", len(list))
	case count > 1 && keyword == "oneOf":
		return c.fail(at, keyword, "fits more than one alternative")
	}
	return true
}

// discriminated checks against the alternative that the value itself names, so that the violations are those of it.
func (c *checker) discriminated(d *discriminator, list []*schema, o *object, at *place) bool {
	named := &place{parent: at, key: d.property}
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

// canonical appends a text that is the same for equal values.
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
