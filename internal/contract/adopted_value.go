package contract

import (
	"slices"
	"strings"
)

// reading is one way of parsing texts that the schema leaves ambiguous.
type reading struct {
	asText bool // a text that may be a number, a boolean or a string is a string; otherwise only when it is not a valid number or boolean
	asList bool // a text that may be one value or a list of one is a list
}

// readings are tried in this order. A value is valid when it is valid in one of them; the reported violations are those of the first.
var readings = []reading{{}, {asText: true}, {asList: true}, {asText: true, asList: true}}

// values builds the value of a parameter, a form or a multipart body on the tape of its checker.
type values struct {
	*checker
	reading
	textChoice, listChoice bool // the reading made a difference
}

// checkReadings checks the value that build makes against s in each reading that the schema leaves open. build returns false when there is no such
// value, after it recorded a violation; it is called again for each reading.
func (c *checker) checkReadings(name string, s *schema, build func(*values) bool) {
	first := values{checker: c}
	c.reset("")
	c.name = name
	if !build(&first) {
		return
	}
	if !first.textChoice && !first.listChoice {
		c.check(s, 0)
		return
	}
	for _, r := range readings {
		if r.asText && !first.textChoice || r.asList && !first.listChoice {
			continue
		}
		c.reset("")
		if build(&values{checker: c, reading: r}) && c.matches(s, 0) {
			return
		}
	}
	c.reset("")
	if build(&values{checker: c}) {
		c.check(s, 0)
	}
}

// textTypes returns the types that a text may be parsed as for s, or all of them without a schema.
func textTypes(s *schema) typeSet {
	if s == nil {
		return anyText
	}
	return s.adopted.texts
}

// scalar adds a text as a value of one of the types that s allows.
func (b *values) scalar(s *schema, text string) {
	types := textTypes(s)
	k := b.kindOf(types, text)
	if k == kindString || types&typeString == 0 {
		b.add(k, text)
		return
	}
	b.textChoice = true
	if !b.asText {
		v := len(b.tokens)
		if b.add(k, text); s == nil || b.matches(s, v) {
			return
		}
		b.tokens = b.tokens[:v]
	}
	b.add(kindString, text)
}

func (b *values) kindOf(types typeSet, text string) kind {
	if k, _ := scalarKind(types, text); k != kindString {
		return k
	}
	if types&typeNull != 0 && (text == "null" || text == "" && types&typeString == 0) {
		return kindNull
	}
	return kindString
}

// listOf adds texts as a list.
func (b *values) listOf(s *schema, texts []string) {
	list := b.open(kindArray)
	for i, text := range texts {
		b.scalar(itemOf(s, i), text)
	}
	b.close(list, len(texts))
}

// objectOf adds alternating names and texts as an object. A name that occurs twice is a violation.
func (b *values) objectOf(s *schema, texts []string) bool {
	object, seen := b.open(kindObject), make(map[string]bool, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		if seen[texts[i]] {
			return b.failAt(b.name, string(RuleRepeated), "has a name twice")
		}
		seen[texts[i]] = true
		b.add(kindString, texts[i])
		b.scalar(memberOf(s, texts[i]), texts[i+1])
	}
	b.close(object, len(texts)/2)
	return true
}

// itemOf returns the schema of an item, of s or of the first of its parts that has one; nil when any item is valid.
func itemOf(s *schema, i int) *schema {
	if s == nil {
		return nil
	}
	for _, part := range s.flat() {
		switch a := part.adopted; {
		case i < len(a.prefixItems):
			return a.prefixItems[i]
		case a.restItems != nil:
			return a.restItems
		case part.items != nil:
			return part.items
		}
	}
	return nil
}

// memberOf returns the schema of an object's member, of s or of the first of its parts that has one; nil when any value is valid.
func memberOf(s *schema, name string) *schema {
	if s == nil {
		return nil
	}
	parts := s.flat()
	for _, part := range parts {
		if p := part.properties[name]; p != nil {
			return p.schema
		}
	}
	for _, part := range parts {
		for _, p := range part.adopted.patternProperties {
			if p.pattern.match(name) {
				return p.schema
			}
		}
		if part.additional != nil {
			return part.additional
		}
		if part.adopted.restMembers != nil {
			return part.adopted.restMembers
		}
	}
	return nil
}

// branch is the value of bracketed names: filter[a][b]=1.
type branch struct {
	name   string
	texts  []string // what was sent for it
	inner  []*branch
	listed bool // by name[]
}

// maxBranches is the maximum nesting of brackets.
const maxBranches = 8

// put adds a text under the brackets after a name: "[a][b]". It returns false when they are malformed.
func (b *branch) put(brackets, text string) bool {
	for depth := 0; brackets != ""; depth++ {
		end := strings.IndexByte(brackets, ']')
		if brackets[0] != '[' || end < 0 || depth == maxBranches {
			return false
		}
		name := brackets[1:end]
		if brackets = brackets[end+1:]; name == "" {
			b.listed = true
			continue
		}
		i := slices.IndexFunc(b.inner, func(have *branch) bool { return have.name == name })
		if i < 0 {
			i = len(b.inner)
			b.inner = append(b.inner, &branch{name: strings.Clone(name)})
		}
		b = b.inner[i]
	}
	b.texts = append(b.texts, text)
	return true
}

// tree adds a branch as a value.
func (b *values) tree(s *schema, of *branch) bool {
	types := textTypes(s)
	if len(of.inner) > 0 {
		if len(of.texts) > 0 {
			return b.failAt(b.name, string(RuleRepeated), "has a name that is used for a value and for an object")
		}
		kind := kindObject
		if types&typeArray != 0 && types&typeObject == 0 {
			kind = kindArray
		}
		at := b.open(kind)
		for i, one := range of.inner {
			member := itemOf(s, i)
			if kind == kindObject {
				b.add(kindString, one.name)
				member = memberOf(s, one.name)
			}
			if !b.tree(member, one) {
				return false
			}
		}
		b.close(at, len(of.inner))
		return true
	}
	return b.several(s, of.texts, of.listed)
}

// several adds the texts sent under one name: as a list where the schema has one, or as a single value.
func (b *values) several(s *schema, texts []string, listed bool) bool {
	types := textTypes(s)
	list := types&typeArray != 0
	if list && !listed && len(texts) == 1 && types&^(typeArray|typeNull) != 0 {
		b.listChoice = true
		list = b.asList
	}
	switch {
	case list || listed:
		b.listOf(s, texts)
	case len(texts) == 1:
		b.scalar(s, texts[0])
	default:
		return b.failAt(b.name, string(RuleRepeated), "must be sent once")
	}
	return true
}

// graft adds the value of another tape.
func (t *tape) graft(other *tape) {
	first, source := len(t.tokens), len(t.scratch)
	t.scratch = append(t.scratch, other.source...)
	decoded := len(t.scratch)
	t.scratch = append(t.scratch, other.scratch...)
	for _, k := range other.tokens {
		k.next += uint32(first)
		if k.kind < kindArray {
			base := uint32(source)
			if k.decoded {
				base = uint32(decoded)
			}
			k.start, k.end, k.decoded = k.start+base, k.end+base, true
		}
		t.tokens = append(t.tokens, k)
	}
}
