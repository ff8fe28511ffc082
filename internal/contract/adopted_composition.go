package contract

import (
	"slices"
	"strconv"
)

func (b *adopter) fillAdoptedComposition(s *schema, e *element) error {
	if ref := e.get("$ref"); ref != nil && ref.kind == elementString {
		target, err := b.target(ref)
		if err != nil {
			return err
		}
		made, err := b.schema(target)
		if err != nil {
			return err
		}
		s.allOf = append(s.allOf, made)
	}
	for _, part := range []struct {
		name string
		to   *[]*schema
	}{{"oneOf", &s.oneOf}, {"anyOf", &s.anyOf}, {"allOf", &s.allOf}} {
		for i, one := range e.get(part.name).list() {
			made, err := b.part(part.name+" "+strconv.Itoa(i), one)
			if err != nil {
				return err
			}
			*part.to = append(*part.to, made)
		}
	}
	var err error
	if s.not, err = b.part("not", e.get("not")); err != nil {
		return err
	}
	s.say.oneOf, s.say.anyOf = sentence("matches none of the %d alternatives", len(s.oneOf)), sentence("matches none of the %d alternatives", len(s.anyOf))
	s.composed = s.not != nil || len(s.oneOf)+len(s.anyOf)+len(s.allOf) > 0
	b.fillAdoptedDiscriminator(s, e)
	return b.dynamicReference(s, e)
}

// dynamicReference treats $dynamicRef as a $ref, which it is in a document without foreign schemas, and warns of what is ignored.
func (b *adopter) dynamicReference(s *schema, e *element) error {
	if at := e.get("$dynamicRef"); at != nil && at.kind == elementString {
		target, err := b.target(at)
		if err != nil {
			return err
		}
		made, err := b.schema(target)
		if err != nil {
			return err
		}
		s.allOf, s.composed = append(s.allOf, made), true
	}
	if at := e.get("$recursiveRef"); at != nil {
		b.warn(WarnVersion, at, "write $ref", "$recursiveRef is not part of OpenAPI 3; it is read as a $ref to the next enclosing schema with $recursiveAnchor")
		for i := len(b.open) - 1; i >= 0; i-- {
			if b.open[i].get("$recursiveAnchor").is(true) {
				s.allOf, s.composed = append(s.allOf, b.schemas[b.open[i]]), true
				break
			}
		}
	}
	return nil
}

func (b *adopter) fillConditions(s *schema, e *element) error {
	var err error
	if s.adopted.when, err = b.part("if", e.get("if")); err != nil || s.adopted.when == nil {
		return err
	}
	if s.adopted.then, err = b.part("then", e.get("then")); err != nil {
		return err
	}
	s.adopted.other, err = b.part("else", e.get("else"))
	return err
}

// elsewhere is the choice for a discriminator value that names no alternative of this list: the value is checked against all of them.
const elsewhere = -1

// fillAdoptedDiscriminator compiles a discriminator from its mapping and the names of the alternatives. It never accepts more than the alternatives
// do.
func (b *adopter) fillAdoptedDiscriminator(s *schema, e *element) {
	at := e.get("discriminator")
	alternatives := e.get("oneOf").list()
	if len(alternatives) == 0 {
		alternatives = e.get("anyOf").list()
	}
	name := at.get("propertyName").str()
	if at != nil && at.kind == elementString {
		name = at.text
	}
	if at == nil || len(alternatives) == 0 || name == "" {
		return // on a schema without alternatives it is for code generators
	}
	d := &discriminator{property: name, choice: map[string]int{}}
	places := make([]*element, len(alternatives))
	for i, one := range alternatives {
		ref := one.get("$ref")
		places[i], _ = b.deref(one)
		if ref == nil {
			d.unnamed = true
			continue
		}
		d.choice[lastSegment(ref.str())] = i
	}
	at.get("mapping").each(func(value string, target *element) {
		i := elsewhere
		if found := b.mapped(target); found != nil {
			i = slices.Index(places, found)
		}
		if i == elsewhere {
			b.warn(WarnDiscriminator, target, "name one of the alternatives",
				"the mapping of %s names none of the alternatives; such values are checked against all of them", shortened(value))
		}
		d.choice[value] = i
	})
	s.discriminator = d
}

// settle decides how values are treated that the discriminator does not know. When each alternative lists its values by enum or const, as in
// documents whose values are not schema names, the alternatives decide; otherwise such a value matches none of them.
func (d *discriminator) settle(s *schema) {
	if d == nil || d.unnamed {
		return
	}
	says := func(alternative *schema) bool {
		return slices.ContainsFunc(alternative.flat(), func(part *schema) bool {
			p := part.properties[d.property]
			return p != nil && slices.ContainsFunc(p.flat(), func(one *schema) bool { return one.enum != nil || one.adopted.constant != nil })
		})
	}
	list := s.oneOf
	if len(list) == 0 {
		list = s.anyOf
	}
	d.unnamed = !slices.ContainsFunc(list, func(one *schema) bool { return !says(one) })
}

// mapped returns the schema that a mapping's target names, by a reference or by its name under components.
func (b *adopter) mapped(target *element) *element {
	text := target.str()
	if text == "" {
		return nil
	}
	if found := target.file.root.get("components", "schemas", text); found != nil {
		found, _ = b.deref(found)
		return found
	}
	found, err := b.lookUp(target.file, text)
	if err != nil {
		return nil
	}
	found, _ = b.deref(found)
	return found
}
