package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// schema is one OpenAPI 3.0.3 schema, compiled: patterns parsed, enums normalised, references followed.
type schema struct {
	types    typeSet // 0: any type
	nullable bool
	enum     []any

	not                 *schema
	oneOf, anyOf, allOf []*schema
	discriminator       *discriminator

	minimum, maximum   *bound
	multiple           *decimal
	integer            bool // the only type is integer
	bits               int  // of an integer
	minLength          int
	maxLength          int // -1: none
	pattern            *regexp.Regexp
	format             string
	isFormat           func(string) bool
	minItems, maxItems int
	uniqueItems        bool
	items              *schema
	properties         map[string]*property
	required           []string
	minProperties      int
	maxProperties      int
	closed             bool // additionalProperties: false
	open               bool // additionalProperties: true or a schema
	additional         *schema
	listed             map[string]bool // all properties that s and the parts of its composition list; nil: it may have any other
}

type property struct {
	*schema
	readOnly, writeOnly bool
}

type bound struct {
	at        decimal
	float     float64
	exclusive bool
}

// discriminator chooses the one alternative of oneOf or anyOf by a property's value.
type discriminator struct {
	property string
	choice   map[string]int // value -> index in the alternatives
}

type typeSet uint8

const (
	typeBoolean typeSet = 1 << iota
	typeInteger
	typeNumber
	typeString
	typeArray
	typeObject
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
	return strings.Join(names, " or ")
}

type schemaKey = *openapi3.Schema

// schema compiles ref once; a schema that refers to itself through a property or an item is the same *schema again.
func (b *builder) schema(ref *openapi3.SchemaRef) (*schema, error) {
	if ref == nil || ref.Value == nil {
		return nil, errors.New("schema reference does not resolve")
	}
	if s, done := b.schemas[ref.Value]; done {
		return s, nil
	}
	s := &schema{maxLength: -1, maxItems: -1, maxProperties: -1}
	b.schemas[ref.Value] = s
	if err := b.fillSchema(s, ref.Value); err != nil {
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
	for _, v := range o.Enum {
		s.enum = append(s.enum, normalise(v))
	}
	return errors.Join(s.fillNumber(o), s.fillString(o), b.fillArray(s, o), b.fillObject(s, o), b.fillComposition(s, o))
}

// unsupported names the keywords of later versions, which 3.0.3 does not have.
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
		s.minimum = &bound{floatDecimal(*o.Min), *o.Min, isTrue(o.ExclusiveMin)}
	}
	if o.Max != nil {
		s.maximum = &bound{floatDecimal(*o.Max), *o.Max, isTrue(o.ExclusiveMax)}
	}
	if o.MultipleOf != nil {
		if *o.MultipleOf <= 0 {
			return errors.New("multipleOf must be above zero")
		}
		step := floatDecimal(*o.MultipleOf)
		s.multiple = &step
	}
	if s.integer {
		s.bits = 64
	}
	if o.Format == "" || s.types&(typeInteger|typeNumber) == 0 {
		return nil
	}
	bits, isInteger := integerFormats[o.Format]
	switch {
	case s.integer && isInteger:
		s.bits = bits
	case s.integer || !numberFormats[o.Format]:
		return fmt.Errorf("format %s is not one of the closed list for %s", o.Format, s.types)
	}
	return nil
}

func (s *schema) fillString(o *openapi3.Schema) error {
	s.minLength = length(o.MinLength)
	if o.MaxLength != nil {
		s.maxLength = length(*o.MaxLength)
	}
	if o.Pattern != "" {
		re, err := regexp.Compile(rewriteCodepoints.ReplaceAllString(o.Pattern, `\x{$1}`))
		if err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
		s.pattern = re
	}
	if o.Format != "" && (s.types == 0 || s.types&typeString != 0) {
		check, known := formats[o.Format]
		if !known {
			return fmt.Errorf("format %s is not in the closed list", o.Format)
		}
		s.format, s.isFormat = o.Format, check
	}
	return nil
}

// rewriteCodepoints finds ECMA's four-digit escapes, which RE2 writes differently.
var rewriteCodepoints = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func length(n uint64) int { return int(min(n, math.MaxInt32)) }

func (b *builder) fillArray(s *schema, o *openapi3.Schema) (err error) {
	s.minItems = length(o.MinItems)
	if o.MaxItems != nil {
		s.maxItems = length(*o.MaxItems)
	}
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
	s.required = slices.Clone(o.Required)
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
	if s.loops(map[*schema]bool{}) {
		return errors.New("the schema is part of itself without a property or an item between")
	}
	return s.fillDiscriminator(o)
}

// list fills in listed. A closed schema says so itself, and one that lists nothing anywhere leaves it open.
func (s *schema) list() {
	all := map[string]bool{}
	if !s.closed && s.gather(all) && len(all) > 0 {
		s.listed = all
	}
}

// gather adds the properties that s and its parts list; it reports false when one of them allows any.
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

// loops reports whether s reaches itself by composition alone, which no value could end.
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

// normalise turns a value of the document into the form parseJSON gives.
func normalise(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	value, fault := parseJSON(text)
	if fault != nil {
		return v
	}
	return value
}
