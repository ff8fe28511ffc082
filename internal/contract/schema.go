package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// schema is a compiled OpenAPI 3.0.3 schema: patterns parsed, enums normalised, references resolved, names in tables, and the message of each
// violation formatted.
type schema struct {
	types    typeSet // 0: any type
	nullable bool
	composed bool // has not, oneOf, anyOf or allOf
	enum     *enum
	say      messages

	not                 *schema
	oneOf, anyOf, allOf []*schema
	discriminator       *discriminator

	minimum, maximum   *bound
	multiple           *exact
	integer            bool // the only type is integer
	bits               int  // of an integer
	minLength          int
	maxLength          int // -1: none
	pattern            *pattern
	isFormat           func(string) bool
	minItems, maxItems int
	uniqueItems        bool
	items              *schema
	properties         map[string]*property
	members            *names[member] // the properties and the required names; nil: none
	required           []requirement
	mask               [outbound + 1]uint64 // of the required members with a bit, in each direction
	overflows          bool                 // there are more required members than bits
	spelt              []string             // the names of the properties, sorted
	minProperties      int
	maxProperties      int
	closed             bool // additionalProperties: false
	open               bool // additionalProperties: true or a schema
	additional         *schema
	listed             *names[bool] // all properties that s and the parts of its composition list; nil: others are allowed

	adopted *adoptedSchema // of an adopted document; nil in the family's
}

type property struct {
	*schema
	readOnly, writeOnly bool
}

// member is what the schema says about a name.
type member struct {
	property *property // nil: only that it is required
	bit      uint64    // of mask; 0: not required, or no bit left
}

// requirement is a required name.
type requirement struct {
	name string
	bit  uint64 // 0: no bit left
	in   [outbound + 1]bool
}

// messages are the texts of violations; a keyword that the schema does not have has none.
type messages struct {
	types, enum, integer, minLength, maxLength, pattern, format, minItems, maxItems, minProperties, maxProperties, oneOf, anyOf string
}

type bound struct {
	exact
	exclusive        bool
	keyword, message string
}

// enum is a closed list of values.
type enum struct {
	texts  []string // strings
	others []string // values that are no strings, in the form of canonical
	values []string // all of them as JSON
}

// discriminator selects one alternative of oneOf or anyOf by a property's value.
type discriminator struct {
	property string
	choice   map[string]int // value -> index in the alternatives
	unnamed  bool           // of an adopted document: an alternative may admit a value that is unknown here
}

type typeSet uint8

const (
	typeBoolean typeSet = 1 << iota
	typeInteger
	typeNumber
	typeString
	typeArray
	typeObject
	typeNull // in adopted documents only
)

var typeNames = map[string]typeSet{
	"boolean": typeBoolean, "integer": typeInteger, "number": typeNumber, "string": typeString, "array": typeArray, "object": typeObject,
}

func (t typeSet) String() string {
	var names []string
	for _, name := range []string{"boolean", "integer", "number", "string", "array", "object"} {
		if t&typeNames[name] != 0 {
			names = append(names, name)
		}
	}
	if t&typeNull != 0 {
		names = append(names, "null")
	}
	return strings.Join(names, " or ")
}

type schemaKey = *openapi3.Schema

// schema compiles ref once. A schema that refers to itself through a property or an item is the same *schema.
func (b *builder) schema(ref *openapi3.SchemaRef) (*schema, error) {
	if ref == nil || ref.Value == nil {
		return nil, errors.New("schema reference does not resolve")
	}
	if s, done := b.schemas[ref.Value]; done {
		return s, nil
	}
	s := &schema{maxLength: -1, maxItems: -1, maxProperties: -1}
	b.schemas[ref.Value] = s
	if err := placed(ref.Value.Origin, b.fillSchema(s, ref.Value)); err != nil {
		if ref.Ref != "" {
			err = fmt.Errorf("%s: %w", ref.Ref, err)
		}
		return nil, err
	}
	return s, nil
}

func (b *builder) fillSchema(s *schema, o *openapi3.Schema) error {
	if err := unsupported(o); err != nil {
		return err
	}
	for _, name := range o.Type.Slice() {
		t, ok := typeNames[name]
		if !ok {
			return fmt.Errorf("type %s is not supported", name)
		}
		s.types |= t
	}
	s.nullable = o.Nullable
	s.say.types = fmt.Sprintf("must be of type %s", s.types)
	return errors.Join(s.fillEnum(o), s.fillNumber(o), s.fillString(o), b.fillArray(s, o), b.fillObject(s, o), b.fillComposition(s, o))
}

// unsupported returns an error for keywords of later versions, which 3.0.3 does not have.
func unsupported(o *openapi3.Schema) error {
	for name, there := range map[string]bool{
		"const": o.Const != nil, "prefixItems": o.PrefixItems != nil, "contains": o.Contains != nil, "patternProperties": o.PatternProperties != nil,
		"dependentSchemas": o.DependentSchemas != nil, "propertyNames": o.PropertyNames != nil, "if": o.If != nil, "then": o.Then != nil,
		"else": o.Else != nil, "dependentRequired": o.DependentRequired != nil, "$defs": o.Defs != nil, "a boolean schema": o.Always != nil,
		"$dynamicRef": o.DynamicRef != "", "contentSchema": o.ContentSchema != nil,
		"unevaluatedProperties":                          o.UnevaluatedProperties.Has != nil || o.UnevaluatedProperties.Schema != nil,
		"unevaluatedItems":                               o.UnevaluatedItems.Has != nil || o.UnevaluatedItems.Schema != nil,
		"a numeric exclusiveMinimum or exclusiveMaximum": o.ExclusiveMin.Value != nil || o.ExclusiveMax.Value != nil,
	} {
		if there {
			return fmt.Errorf("%s is not OpenAPI 3.0.3", name)
		}
	}
	return nil
}

func (s *schema) fillNumber(o *openapi3.Schema) error {
	s.integer = s.types&typeInteger != 0 && s.types&typeNumber == 0
	isTrue := func(e openapi3.ExclusiveBound) bool { return e.Bool != nil && *e.Bool }
	if o.Min != nil {
		s.minimum = &bound{newExact(*o.Min), false, "minimum", sentence("must be at least %v", *o.Min)}
		if isTrue(o.ExclusiveMin) {
			s.minimum = &bound{newExact(*o.Min), true, "exclusiveMinimum", sentence("must be more than %v", *o.Min)}
		}
	}
	if o.Max != nil {
		s.maximum = &bound{newExact(*o.Max), false, "maximum", sentence("must be at most %v", *o.Max)}
		if isTrue(o.ExclusiveMax) {
			s.maximum = &bound{newExact(*o.Max), true, "exclusiveMaximum", sentence("must be less than %v", *o.Max)}
		}
	}
	if o.MultipleOf != nil {
		if *o.MultipleOf <= 0 {
			return errors.New("multipleOf must be above zero")
		}
		step := newExact(*o.MultipleOf)
		s.multiple = &step
	}
	if s.integer {
		s.bits = 64
	}
	if o.Format != "" && s.types&(typeInteger|typeNumber) != 0 {
		bits, isInteger := integerFormats[o.Format]
		switch {
		case s.integer && isInteger:
			s.bits = bits
		case s.integer || !numberFormats[o.Format]:
			return fmt.Errorf("format %s is not one of the closed list for %s", o.Format, s.types)
		}
	}
	s.say.integer = sentence("must be an integer of at most %d bits, written as digits", s.bits)
	return nil
}

func (s *schema) fillString(o *openapi3.Schema) error {
	s.minLength = length(o.MinLength)
	if o.MaxLength != nil {
		s.maxLength = length(*o.MaxLength)
	}
	s.say.minLength = must("at least", s.minLength, "character")
	s.say.maxLength = must("at most", s.maxLength, "character")
	if o.Pattern != "" {
		p, err := compilePattern(o.Pattern)
		if err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
		s.pattern, s.say.pattern = p, sentence("must match %s", p.expression)
	}
	if o.Format != "" && (s.types == 0 || s.types&typeString != 0) {
		check, known := formats[o.Format]
		if !known {
			return fmt.Errorf("format %s is not in the closed list", o.Format)
		}
		s.isFormat, s.say.format = check, sentence("must be of the format %s", o.Format)
	}
	return nil
}

func length(n uint64) int { return int(min(n, math.MaxInt32)) }

func (b *builder) fillArray(s *schema, o *openapi3.Schema) (err error) {
	s.minItems = length(o.MinItems)
	if o.MaxItems != nil {
		s.maxItems = length(*o.MaxItems)
	}
	s.say.minItems, s.say.maxItems = must("at least", s.minItems, "item"), must("at most", s.maxItems, "item")
	s.uniqueItems = o.UniqueItems
	if o.Items != nil {
		s.items, err = b.schema(o.Items)
	}
	return err
}

func (b *builder) fillObject(s *schema, o *openapi3.Schema) error {
	s.minProperties = length(o.MinProps)
	if o.MaxProps != nil {
		s.maxProperties = length(*o.MaxProps)
	}
	s.say.minProperties = must("at least", s.minProperties, "property")
	s.say.maxProperties = must("at most", s.maxProperties, "property")
	if len(o.Properties) > 0 {
		s.properties = make(map[string]*property, len(o.Properties))
	}
	for name, ref := range o.Properties {
		p, err := b.schema(ref)
		if err != nil {
			return fmt.Errorf("property %s: %w", name, err)
		}
		s.properties[name] = &property{schema: p, readOnly: ref.Value.ReadOnly, writeOnly: ref.Value.WriteOnly}
	}
	s.fillMembers(o.Required)
	if has := o.AdditionalProperties.Has; has != nil && !*has {
		s.closed = true
	}
	s.open = o.AdditionalProperties.Schema != nil || o.AdditionalProperties.Has != nil && !s.closed
	if ref := o.AdditionalProperties.Schema; ref != nil {
		additional, err := b.schema(ref)
		if err != nil {
			return fmt.Errorf("additionalProperties: %w", err)
		}
		s.additional = additional
	}
	return nil
}

// fillMembers builds the table of names and the masks of the required members in each direction.
func (s *schema) fillMembers(required []string) {
	if len(s.properties)+len(required) == 0 {
		return
	}
	all := map[string]member{}
	for name, p := range s.properties {
		all[name] = member{property: p}
	}
	for i, name := range required {
		m := all[name]
		r := requirement{name: name}
		if i < 64 && m.bit == 0 {
			m.bit = 1 << i
		}
		r.bit = m.bit
		r.in[inbound] = m.property == nil || !m.property.readOnly
		r.in[outbound] = m.property == nil || !m.property.writeOnly
		for _, d := range []direction{inbound, outbound} {
			if r.in[d] {
				s.mask[d] |= r.bit
			}
		}
		s.required = append(s.required, r)
		s.overflows = s.overflows || r.bit == 0
		all[name] = m
	}
	s.members = newNames[member](len(all))
	for name, m := range all {
		s.members.put(name, m)
	}
	s.spelt = slices.Sorted(maps.Keys(s.properties))
}

func (b *builder) fillComposition(s *schema, o *openapi3.Schema) error {
	for _, part := range []struct {
		name string
		refs openapi3.SchemaRefs
		to   *[]*schema
	}{{"oneOf", o.OneOf, &s.oneOf}, {"anyOf", o.AnyOf, &s.anyOf}, {"allOf", o.AllOf, &s.allOf}} {
		for i, ref := range part.refs {
			sub, err := b.schema(ref)
			if err != nil {
				return fmt.Errorf("%s %d: %w", part.name, i, err)
			}
			*part.to = append(*part.to, sub)
		}
	}
	if o.Not != nil {
		not, err := b.schema(o.Not)
		if err != nil {
			return fmt.Errorf("not: %w", err)
		}
		s.not = not
	}
	s.say.oneOf, s.say.anyOf = sentence("matches none of the %d alternatives", len(s.oneOf)), sentence("matches none of the %d alternatives", len(s.anyOf))
	s.composed = s.not != nil || len(s.oneOf)+len(s.anyOf)+len(s.allOf) > 0
	if s.loops(map[*schema]bool{}) {
		return errors.New("the schema is part of itself without a property or an item between")
	}
	return s.fillDiscriminator(o)
}

// list sets listed. A closed schema needs no list, and a composition that lists no property leaves it open.
func (s *schema) list() {
	all := map[string]bool{}
	if s.closed || !s.gather(all) || len(all) == 0 {
		return
	}
	s.listed = newNames[bool](len(all))
	for name := range all {
		s.listed.put(name, true)
	}
}

// gather adds the properties that s and its parts list. It returns false when one of them allows any other.
func (s *schema) gather(all map[string]bool) bool {
	for name := range s.properties {
		all[name] = true
	}
	for _, parts := range [][]*schema{s.oneOf, s.anyOf, s.allOf} {
		for _, part := range parts {
			if !part.gather(all) {
				return false
			}
		}
	}
	return !s.open
}

// loops reports whether s reaches itself by composition alone, so that checking a value would never end.
func (s *schema) loops(open map[*schema]bool) bool {
	if open[s] {
		return true
	}
	open[s] = true
	defer delete(open, s)
	for _, list := range [][]*schema{s.oneOf, s.anyOf, s.allOf} {
		for _, sub := range list {
			if sub.loops(open) {
				return true
			}
		}
	}
	return s.not != nil && s.not.loops(open)
}

func (s *schema) fillDiscriminator(o *openapi3.Schema) error {
	if o.Discriminator == nil {
		return nil
	}
	refs := o.OneOf
	if len(refs) == 0 {
		refs = o.AnyOf
	}
	d := &discriminator{property: o.Discriminator.PropertyName, choice: map[string]int{}}
	indexOf := func(target string) int {
		return slices.IndexFunc(refs, func(r *openapi3.SchemaRef) bool {
			return r.Ref == target || (!strings.Contains(target, "/") && lastSegment(r.Ref) == target)
		})
	}
	for value, target := range o.Discriminator.Mapping {
		i := indexOf(target.Ref)
		if i < 0 {
			return fmt.Errorf("discriminator: %s is not one of the alternatives", target.Ref)
		}
		d.choice[value] = i
	}
	if len(d.choice) == 0 {
		return errors.New("discriminator needs a mapping")
	}
	s.discriminator = d
	return nil
}

func lastSegment(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// fillEnum stores the values in the forms in which they are compared.
func (s *schema) fillEnum(o *openapi3.Schema) error {
	if len(o.Enum) == 0 {
		return nil
	}
	e := &enum{}
	var say []string
	for _, v := range o.Enum {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("enum: %w", err)
		}
		var t tape
		if fault := t.read(text); fault != nil {
			return fmt.Errorf("enum: %w", fault)
		}
		e.values = append(e.values, string(text))
		if t.tokens[0].kind == kindString {
			e.texts = append(e.texts, strings.Clone(t.text(0)))
			say = append(say, strings.Clone(t.text(0)))
			continue
		}
		e.others = append(e.others, string(t.canonical(nil, 0)))
		say = append(say, string(text))
	}
	s.enum, s.say.enum = e, sentence("must be one of %s", strings.Join(say, ", "))
	return nil
}

// must returns the message about a required number: bound is "at least" or "at most", one the singular of what is counted.
func must(bound string, n int, one string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(one, "y"):
		one = strings.TrimSuffix(one, "y") + "ies"
	default:
		one += "s"
	}
	return sentence("must have %s %d %s", bound, n, one)
}

// maxSentence is the maximum length of a violation's message, in bytes.
const maxSentence = 250

// sentence formats a message.
func sentence(format string, args ...any) string {
	message := fmt.Sprintf(format, args...)
	if len(message) > maxSentence {
		message = strings.ToValidUTF8(message[:maxSentence-3], "") + "..."
	}
	return message
}
