package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// adoptedSchema holds what a schema of an adopted document has in addition to those of the family's contracts: JSON Schema 2020-12, and null as an
// ordinary type.
type adoptedSchema struct {
	at     *element
	broken error // why the schema cannot be checked, because of itself or of a schema that it needs
	never  bool  // the schema false

	constant          *enum
	bounds            []*bound // in addition to minimum and maximum
	prefixItems       []*schema
	restItems         *schema // items after prefixItems; schema.items is nil then
	restMembers       *schema // additionalProperties beside patternProperties or propertyNames; schema.additional is nil then
	closed            bool    // additionalProperties: false beside them; schema.closed is false then
	contains          *schema
	minContains       int
	maxContains       int // -1: none
	patternProperties []patternProperty
	propertyNames     *schema
	dependentRequired []dependency
	dependentSchemas  []dependency
	when, then, other *schema // if, then and else

	unevaluatedProperties, unevaluatedItems *schema

	asserts  bool    // one of the keywords above is present, so the fast path of check does not apply
	texts    typeSet // the types that a text of a parameter or a form may be parsed as
	work     int     // schema checks per value by composition; 0: not known yet
	binary   bool    // a part with this schema is a file
	again    bool    // the schema is recursive: a value that is being checked against it is not checked against it again within
	forms    bool    // the schema, or one that it needs, compares canonical forms
	repeated int64   // the largest number of items that are compared with each other

	flattened atomic.Pointer[[]*schema] // the result of flat
}

type patternProperty struct {
	pattern *pattern
	schema  *schema
}

// dependency is a condition that applies when an object has a member.
type dependency struct {
	name     string
	required []string
	schema   *schema
}

// Bounds of the schemas of an adopted document.
const (
	// maxSchemas is the maximum number of schemas.
	maxSchemas = 60_000
	// maxSchemaDepth is the maximum depth of nesting and references of schemas, counted from an operation.
	maxSchemaDepth = 1_000
	// maxComposition is how many schemas one value may have to be checked against, counting those that a schema combines by allOf, anyOf, oneOf and
	// the like.
	maxComposition = 20_000
)

// annotations are keywords beside a $ref that do not change which values are valid.
var annotations = []string{"$ref", "description", "title", "summary", "example", "examples", "default", "deprecated", "$comment", "readOnly", "writeOnly",
	"externalDocs", "xml"}

// schema compiles a schema once. Whether a schema cannot be checked is known only when all are compiled, and is recorded in adoptedSchema.broken:
// others may refer to it before.
func (b *adopter) schema(e *element) (*schema, error) {
	if e == nil {
		return nil, nil
	}
	for hop := 0; ; hop++ {
		ref := e.get("$ref")
		if ref == nil || ref.kind != elementString || b.later && asserting(e) {
			break
		}
		if asserting(e) {
			b.warn(WarnVersion, e, "write allOf with the $ref as one part", "keywords beside $ref are ignored in OpenAPI 3.0")
		}
		if hop == maxHops {
			return nil, errorAt(e, "references form a cycle; write the value out at one of them")
		}
		target, err := b.target(ref)
		if err != nil {
			return nil, err
		}
		e = target
	}
	if s, begun := b.schemas[e]; begun {
		return s, nil
	}
	if len(b.all) >= maxSchemas {
		return nil, errorAt(e, "the document has more than %d schemas that operations need; adopt it in parts", maxSchemas)
	}
	s := &schema{maxLength: -1, maxItems: -1, maxProperties: -1, adopted: &adoptedSchema{at: e, maxContains: -1}}
	b.schemas[e] = s
	b.all = append(b.all, s)
	b.open = append(b.open, e)
	defer func() { b.open = b.open[:len(b.open)-1] }()
	if len(b.open) > maxSchemaDepth {
		s.adopted.broken = errorAt(e, "schemas are nested deeper than %d; write {} for what is below", maxSchemaDepth)
		return s, nil
	}
	s.adopted.broken = b.fillAdopted(s, e)
	return s, nil
}

// asserting reports whether a schema has keywords beside $ref that change which values are valid.
func asserting(e *element) bool {
	return slices.ContainsFunc(e.names, func(name string) bool { return !slices.Contains(annotations, name) && !strings.HasPrefix(name, "x-") })
}

func (b *adopter) fillAdopted(s *schema, e *element) error {
	switch {
	case e.kind == elementBool:
		s.adopted.never = e.is(false)
		return nil
	case e.kind != elementMap:
		return errorAt(e, "a schema must be an object; write {} for one that accepts anything")
	}
	if !b.later {
		b.laterKeywords(e)
	}
	b.misspelled(WarnSchema, e, schemaKeys)
	b.fillAdoptedTypes(s, e)
	b.fillAdoptedNumber(s, e)
	b.fillAdoptedString(s, e)
	err := errors.Join(b.fillValues(s, e), b.fillAdoptedArray(s, e), b.fillAdoptedObject(s, e), b.fillAdoptedComposition(s, e), b.fillConditions(s, e))
	a := s.adopted
	a.asserts = a.constant != nil || a.bounds != nil || a.contains != nil || a.dependentRequired != nil || a.dependentSchemas != nil || a.when != nil ||
		a.unevaluatedProperties != nil || a.unevaluatedItems != nil
	return err
}

// laterKeywords warns of keywords that OpenAPI 3.0 does not have. They are checked all the same.
func (b *adopter) laterKeywords(e *element) {
	for _, keyword := range []string{"const", "prefixItems", "contains", "patternProperties", "propertyNames", "if", "dependentRequired",
		"dependentSchemas", "unevaluatedProperties", "unevaluatedItems"} {
		if at := e.get(keyword); at != nil {
			b.warn(WarnVersion, at, "write openapi: 3.1.0", "%s is not of OpenAPI 3.0; it is still checked", keyword)
		}
	}
}

// part compiles the schema of a keyword. Its error marks s as broken.
func (b *adopter) part(keyword string, e *element) (*schema, error) {
	s, err := b.schema(e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyword, err)
	}
	return s, nil
}

func (b *adopter) fillAdoptedTypes(s *schema, e *element) {
	said := e.get("type")
	names := said.list()
	if said != nil && said.kind != elementList {
		names = []*element{said}
	}
	if len(names) > 1 && !b.later {
		b.warn(WarnVersion, said, "write openapi: 3.1.0", "a list of types is not of OpenAPI 3.0; it is still checked")
	}
	for _, name := range names {
		t, known := typeNames[name.str()]
		switch {
		case known:
			s.types |= t
		case name.str() == "null" || name.kind == elementNull:
			s.types |= typeNull
		default:
			s.types = 0
			b.warn(WarnSchema, name, "write string, number, integer, boolean, array, object or no type",
				"%s is not a type; the type is not checked", shortened(name.text))
			return
		}
	}
	if b.boolean(WarnSchema, e, "nullable") {
		if b.later {
			b.warn(WarnVersion, e.get("nullable"), `write type: [..., "null"]`, "nullable is not of OpenAPI 3.1; null is still accepted")
		}
		if s.types != 0 { // without a type beside it nullable does nothing (OpenAPI 3.0.3, proposal "clarify nullable")
			s.types |= typeNull
		}
	}
	s.say.types = sentence("must be of type %s", s.types)
}

func (b *adopter) fillAdoptedNumber(s *schema, e *element) {
	if s.integer = s.types&typeInteger != 0 && s.types&typeNumber == 0; s.integer {
		s.bits = 64
		s.say.integer = "must be an integer"
	}
	put := func(to **bound, keyword, phrase string, exclusive bool, at *element) {
		made := &bound{newExactLiteral(at.text), exclusive, keyword, sentence("must be %s %s", phrase, at.text)}
		if *to != nil {
			s.adopted.bounds = append(s.adopted.bounds, made)
			return
		}
		*to = made
	}
	for _, side := range []struct {
		to                                   **bound
		keyword, exclusive, phrase, strictly string
	}{{&s.minimum, "minimum", "exclusiveMinimum", "at least", "more than"}, {&s.maximum, "maximum", "exclusiveMaximum", "at most", "less than"}} {
		limit, exclusive := b.number(e, side.keyword), e.get(side.exclusive)
		strict := exclusive.is(true)
		if exclusive != nil && (exclusive.kind == elementBool) == b.later {
			hint := "write true or false beside the limit"
			if b.later {
				hint = "write a number"
			}
			b.warn(WarnVersion, exclusive, hint, "%s has the form of another version of OpenAPI; it is read as that version defines", side.exclusive)
		}
		switch {
		case limit != nil && strict:
			put(side.to, side.exclusive, side.strictly, true, limit)
		case limit != nil:
			put(side.to, side.keyword, side.phrase, false, limit)
		}
		if exclusive != nil && exclusive.kind == elementNumber {
			put(side.to, side.exclusive, side.strictly, true, exclusive)
		}
	}
	if step := b.number(e, "multipleOf"); step != nil {
		if m := newExactLiteral(step.text); m.sign() > 0 {
			s.multiple = &m
		} else {
			b.warn(WarnSchema, step, "write a number above zero", "multipleOf is not above zero; it is not checked")
		}
	}
}

// number returns the number of a keyword, or nil.
func (b *adopter) number(e *element, keyword string) *element {
	at := e.get(keyword)
	if at == nil || at.kind == elementNumber {
		return at
	}
	b.warn(WarnSchema, at, "write it without quotes", "%s is not a number; it is not checked", keyword)
	return nil
}

// count returns the integer of a keyword, or none.
func (b *adopter) count(e *element, keyword string, none int) int {
	at := e.get(keyword)
	if at == nil {
		return none
	}
	if n := at.count(); n >= 0 {
		return n
	}
	b.warn(WarnSchema, at, "write a whole number that is not negative", "%s is not a whole number; it is not checked", keyword)
	return none
}

func (b *adopter) fillAdoptedString(s *schema, e *element) {
	s.minLength, s.maxLength = b.count(e, "minLength", 0), b.count(e, "maxLength", -1)
	s.say.minLength, s.say.maxLength = must("at least", s.minLength, "character"), must("at most", s.maxLength, "character")
	if at := e.get("pattern"); at != nil {
		if s.pattern = b.pattern(at); s.pattern != nil {
			s.say.pattern = sentence("must match %s", at.text)
		}
	}
	if format := e.get("format"); format != nil {
		check, known := adoptedFormats[format.str()]
		switch {
		case known && (s.types == 0 || s.types&typeString != 0):
			s.isFormat, s.say.format = check, sentence("must be of format %s", format.text)
		case !known && !quietFormats[format.str()]:
			b.warn(WarnFormat, format, "describe the form by a pattern where it matters", "the format %s is not checked", shortened(format.text))
		}
	}
}

// fillValues compiles enum and const.
func (b *adopter) fillValues(s *schema, e *element) error {
	if at := e.get("enum"); at != nil {
		if at.kind != elementList || len(at.items) == 0 {
			b.warn(WarnSchema, at, "list the values", "enum is not a list of values; it is not checked")
		} else {
			var err error
			if s.enum, s.say.enum, err = newEnum(at.items); err != nil {
				return errorAt(at, "enum: %w", err)
			}
		}
	}
	if at := e.get("const"); at != nil {
		var err error
		if s.adopted.constant, _, err = newEnum([]*element{at}); err != nil {
			return errorAt(at, "const: %w", err)
		}
	}
	return nil
}

// newEnum returns the values in the forms in which they are compared, and the message for a value that is none of them.
func newEnum(values []*element) (*enum, string, error) {
	e := &enum{}
	var say []string
	for _, v := range values {
		text, err := v.json(nil)
		if err != nil {
			return nil, "", err
		}
		var t tape
		if fault := t.read(text); fault != nil {
			return nil, "", fault
		}
		e.values = append(e.values, string(text))
		if v.kind == elementString {
			e.texts = append(e.texts, v.text)
			say = append(say, v.text)
			continue
		}
		e.others = append(e.others, string(t.canonical(nil, 0)))
		say = append(say, string(text))
	}
	return e, sentence("must be one of %s", strings.Join(say, ", ")), nil
}

func (b *adopter) fillAdoptedArray(s *schema, e *element) error {
	a := s.adopted
	s.minItems, s.maxItems = b.count(e, "minItems", 0), b.count(e, "maxItems", -1)
	s.say.minItems, s.say.maxItems = must("at least", s.minItems, "item"), must("at most", s.maxItems, "item")
	s.uniqueItems = b.boolean(WarnSchema, e, "uniqueItems")
	var err error
	prefix, items := e.get("prefixItems"), e.get("items")
	if items != nil && items.kind == elementList {
		b.warn(WarnSchema, items, "write prefixItems", "items is a list, as in old versions of JSON Schema; it is read as prefixItems")
		prefix, items = items, e.get("additionalItems")
	}
	for _, one := range prefix.list() {
		made, err := b.part("prefixItems", one)
		if err != nil {
			return err
		}
		a.prefixItems = append(a.prefixItems, made)
	}
	if s.items, err = b.part("items", items); err != nil {
		return err
	}
	if a.prefixItems != nil {
		a.restItems, s.items = s.items, nil
	}
	if a.contains, err = b.part("contains", e.get("contains")); err != nil {
		return err
	}
	a.minContains, a.maxContains = b.count(e, "minContains", 1), b.count(e, "maxContains", -1)
	a.unevaluatedItems, err = b.part("unevaluatedItems", e.get("unevaluatedItems"))
	return err
}

func (b *adopter) fillAdoptedObject(s *schema, e *element) error {
	s.minProperties, s.maxProperties = b.count(e, "minProperties", 0), b.count(e, "maxProperties", -1)
	s.say.minProperties = must("at least", s.minProperties, "property")
	s.say.maxProperties = must("at most", s.maxProperties, "property")
	properties := e.get("properties")
	if properties.isMap() {
		s.properties = make(map[string]*property, len(properties.items))
		for i, name := range properties.names {
			at := properties.items[i]
			made, err := b.part("properties."+shortened(name), at)
			if err != nil {
				return err
			}
			s.properties[name] = &property{schema: made, readOnly: b.flag(at, "readOnly"), writeOnly: b.flag(at, "writeOnly")}
		}
	}
	s.fillMembers(b.requiredNames(e.get("required")))
	s.spelt = nil // an adopted document may have names that differ only in case
	switch additional := e.get("additionalProperties"); {
	case additional == nil:
	case additional.is(false):
		s.closed = true
	case additional.is(true):
		s.open = true
	default:
		made, err := b.part("additionalProperties", additional)
		if err != nil {
			return err
		}
		s.open, s.additional = true, made
	}
	return b.fillNames(s, e)
}

// flag returns whether a property is readOnly or writeOnly, by itself or by its reference.
func (b *adopter) flag(e *element, name string) bool {
	if e.get("$ref") == nil || b.later {
		if e.get(name).is(true) {
			return true
		}
	}
	target, err := b.deref(e)
	return err == nil && target.get(name).is(true)
}

func (b *adopter) requiredNames(at *element) []string {
	if at != nil && at.kind != elementList {
		b.warn(WarnSchema, at, "list the required names beside properties", "required is not a list of names; it is not checked")
	}
	var names []string
	for _, name := range at.list() {
		if name.kind == elementString && !slices.Contains(names, name.text) {
			names = append(names, name.text)
		}
	}
	return names
}

// fillNames compiles the keywords that depend on the names of an object's members.
func (b *adopter) fillNames(s *schema, e *element) error {
	a := s.adopted
	var errs []error
	keep := func(to **schema, keyword string) {
		made, err := b.part(keyword, e.get(keyword))
		*to = made
		errs = append(errs, err)
	}
	keep(&a.propertyNames, "propertyNames")
	keep(&a.unevaluatedProperties, "unevaluatedProperties")
	e.get("patternProperties").each(func(text string, at *element) {
		made, err := b.part("patternProperties", at)
		errs = append(errs, err)
		p := b.pattern(&element{kind: elementString, file: at.file, line: at.line, text: text})
		if p == nil {
			errs = append(errs, errorAt(at, "patternProperties: the pattern cannot be read; it must be a regular expression of ECMA-262"))
		}
		a.patternProperties = append(a.patternProperties, patternProperty{p, made})
	})
	e.get("dependentRequired").each(func(name string, at *element) {
		a.dependentRequired = append(a.dependentRequired, dependency{name: name, required: b.requiredNames(at)})
	})
	e.get("dependentSchemas").each(func(name string, at *element) {
		made, err := b.part("dependentSchemas", at)
		errs = append(errs, err)
		a.dependentSchemas = append(a.dependentSchemas, dependency{name: name, schema: made})
	})
	if a.patternProperties != nil || a.propertyNames != nil {
		a.restMembers, a.closed, s.additional, s.closed = s.additional, s.closed, nil, false
	}
	return errors.Join(errs...)
}
