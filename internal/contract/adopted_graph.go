package contract

import (
	"slices"
)

// parts returns the schemas against which s checks the same value.
func (s *schema) parts() []*schema {
	a := s.adopted
	parts := slices.Concat(s.allOf, s.anyOf, s.oneOf, []*schema{s.not, a.when, a.then, a.other})
	for _, d := range a.dependentSchemas {
		parts = append(parts, d.schema)
	}
	return slices.DeleteFunc(parts, func(part *schema) bool { return part == nil })
}

// needs returns all schemas that s refers to.
func (s *schema) needs() []*schema {
	a := s.adopted
	all := append(s.parts(), a.prefixItems...)
	for _, p := range s.properties {
		all = append(all, p.schema)
	}
	for _, p := range a.patternProperties {
		all = append(all, p.schema)
	}
	all = append(all, s.items, s.additional, a.restItems, a.restMembers, a.contains, a.propertyNames, a.unevaluatedItems, a.unevaluatedProperties)
	return slices.DeleteFunc(all, func(one *schema) bool { return one == nil })
}

// finish computes the properties that depend on the whole graph of schemas: the work per value, which schemas cannot be checked, and the memory for
// comparisons. Then it applies them to the operations.
func (b *adopter) finish(c *Contract) {
	for _, s := range b.all {
		if b.measure(s) > maxComposition && s.adopted.broken == nil {
			s.adopted.broken = errorAt(s.adopted.at, "one value would be held against more than %d schemas; join fewer by allOf, anyOf and oneOf", maxComposition)
		}
	}
	for _, s := range b.all {
		s.discriminator.settle(s)
	}
	b.spread()
	defer func() {
		for _, s := range b.all {
			s.adopted.at = nil // the text is not needed any more
		}
	}()
	for _, op := range c.Operations {
		for _, one := range op.all() {
			b.finishOperation(one)
			one.computeMemory()
			op.memory = max(op.memory, one.memory)
		}
	}
}

// measuring marks a schema whose work is being computed: meeting it again means that it is recursive.
const measuring = -1

// measure returns how many schema checks a value takes when it is checked against s. A recursive schema is marked: Pet is oneOf Cat and Dog, and Cat
// is allOf Pet and more, as generators express inheritance.
func (b *adopter) measure(s *schema) int {
	a := s.adopted
	if a.work == measuring {
		a.again = true
		return 1
	}
	if a.work > 0 {
		return a.work
	}
	a.work = measuring
	work, texts := 1, s.types
	for _, part := range s.parts() {
		work = min(work+b.measure(part), maxComposition+1)
	}
	if texts == 0 {
		texts = textsOf(s)
	}
	a.work, a.texts = work, texts
	if e := a.at; e != nil {
		a.binary = e.get("format").str() == "binary" || e.get("contentMediaType") != nil && e.get("contentEncoding") == nil
	}
	return work
}

// anyText are all types that a text can be parsed as.
const anyText = typeBoolean | typeInteger | typeNumber | typeString | typeArray | typeObject | typeNull

// maxFlat bounds the work of flat.
const maxFlat = 200

// flat returns s and the schemas that it joins by allOf, anyOf and oneOf, each once.
func (s *schema) flat() []*schema {
	if known := s.adopted.flattened.Load(); known != nil {
		return *known
	}
	all := []*schema{s}
	defer func() { s.adopted.flattened.Store(&all) }()
	for i := 0; i < len(all) && len(all) < maxFlat; i++ {
		for _, list := range [][]*schema{all[i].allOf, all[i].anyOf, all[i].oneOf} {
			for _, part := range list {
				if !slices.Contains(all, part) {
					all = append(all, part)
				}
			}
		}
	}
	return all
}

// textsOf returns the types that values of a schema without types of its own may have according to its parts. It returns too many rather than too
// few.
func textsOf(s *schema) typeSet {
	for _, part := range s.allOf {
		if t := part.adopted.texts; t != 0 && t != anyText {
			return t
		}
	}
	var texts typeSet
	for _, part := range slices.Concat(s.anyOf, s.oneOf) {
		t := part.adopted.texts
		if t == 0 {
			t = anyText
		}
		texts |= t
	}
	if texts == 0 {
		return anyText
	}
	return texts
}

// spread propagates properties of a schema to the schemas that need it.
func (b *adopter) spread() {
	needed := make(map[*schema][]*schema, len(b.all)) // keyed by the needed schema: the schemas that need it
	for _, s := range b.all {
		for _, one := range s.needs() {
			needed[one] = append(needed[one], s)
		}
	}
	spread := func(from []*schema, take func(from, to *schema) bool) {
		for len(from) > 0 {
			s := from[len(from)-1]
			from = from[:len(from)-1]
			for _, user := range needed[s] {
				if take(s, user) {
					from = append(from, user)
				}
			}
		}
	}
	var broken, comparing []*schema
	for _, s := range b.all {
		a := s.adopted
		if a.broken != nil {
			broken = append(broken, s)
		}
		a.forms = s.uniqueItems || s.enum != nil && len(s.enum.others) > 0 || a.constant != nil && len(a.constant.others) > 0
		if a.forms {
			comparing = append(comparing, s)
		}
		if s.uniqueItems {
			a.repeated = manyItems
			if s.maxItems >= 0 {
				a.repeated = int64(s.maxItems)
			}
		}
	}
	spread(broken, func(from, to *schema) bool {
		if to.adopted.broken != nil {
			return false
		}
		to.adopted.broken = from.adopted.broken
		return true
	})
	slices.SortFunc(comparing, func(x, y *schema) int { return cmpInt(int(x.adopted.repeated), int(y.adopted.repeated)) })
	spread(comparing, func(from, to *schema) bool {
		if to.adopted.forms && to.adopted.repeated >= from.adopted.repeated {
			return false
		}
		to.adopted.forms, to.adopted.repeated = true, max(to.adopted.repeated, from.adopted.repeated)
		return true
	})
}

// manyItems stands for as many items as fit into the text.
const manyItems = 1 << 40

// comparing is schema.comparing for adopted documents.
func (a *adoptedSchema) comparing(size int64) int64 {
	if !a.forms {
		return 0
	}
	return formsMemory(size, min(a.repeated, size/2+1))
}

// finishOperation applies the results for the schemas to an operation that uses them.
func (b *adopter) finishOperation(op *Operation) {
	b.operation = op.Method + " " + shortened(op.template)
	var broken error
	note := func(s *schema) {
		if s != nil && s.adopted.broken != nil && broken == nil {
			broken = s.adopted.broken
		}
	}
	for _, p := range op.parameters {
		note(p.schema)
	}
	if op.body != nil {
		for _, m := range op.body.media {
			note(m.schema)
		}
	}
	if broken != nil {
		b.unsupported(op, b.places[op], broken)
	}
	for _, p := range op.parameters {
		p.finishStyle()
	}
	for _, r := range op.statuses {
		b.finishResponse(r)
	}
}

// finishResponse removes from an answer what cannot be checked.
func (b *adopter) finishResponse(r *responseContract) {
	for _, m := range r.media {
		if m.schema != nil && m.schema.adopted.broken != nil {
			b.warn(WarnResponse, m.schema.adopted.at, "", "answers with this schema are not checked: %v", m.schema.adopted.broken)
			m.kind, m.schema = mediaBinary, nil
		}
	}
	for _, h := range r.headers {
		if h.schema.adopted.broken != nil {
			h.schema = &schema{maxLength: -1, maxItems: -1, maxProperties: -1, adopted: &adoptedSchema{texts: anyText}}
			h.scalar = h.schema
		}
		h.finishStyle()
	}
}
