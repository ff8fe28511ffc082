package change

import (
	"math/big"
	"slices"
	"strings"
)

// typeSet is a set of types of JSON values. A number is an integer or a fraction.
type typeSet uint8

const (
	typeBoolean typeSet = 1 << iota
	typeInteger
	typeFraction
	typeString
	typeArray
	typeObject

	typeNumber = typeInteger | typeFraction
	anyType    = typeBoolean | typeNumber | typeString | typeArray | typeObject
)

var typesByName = map[string]typeSet{
	"boolean": typeBoolean, "integer": typeInteger, "number": typeNumber, "string": typeString, "array": typeArray, "object": typeObject,
}

func (t typeSet) String() string {
	if t == anyType {
		return "any type"
	}
	var names []string
	for _, name := range []string{"boolean", "number", "integer", "string", "array", "object"} {
		if has := typesByName[name]; t&has == has && has != 0 {
			names = append(names, name)
			t &^= has
		}
	}
	return strings.Join(names, " or ")
}

// bound is a minimum or a maximum.
type bound struct {
	value     *big.Rat
	exclusive bool
}

// sizes are the limits of a size; nil means no limit.
type sizes struct{ min, max *big.Rat }

// view is the meaning of a schema, with references resolved and allOf merged.
type view struct {
	node     *node
	nothing  bool // the schema false
	types    typeSet
	null     bool // null is admitted
	nullable bool // nullable itself
	enum     map[string]bool
	min, max *bound
	steps    []*big.Rat // multipleOf

	length, items, properties sizes
	unique                    bool
	patterns, formats         map[string]bool

	item       *node
	first      []*node // prefixItems
	members    map[string]*node
	required   map[string]*node // with the places that require them
	additional *node            // additionalProperties; nil: not said
	groups     []group
	others     map[string]string // keywords without an order, in canonical form
	choices    map[string]string // of the discriminator: the schema that a value selects

	readOnly, writeOnly bool
	preset              string // default, canonical; "" for none
}

// group is a list of alternatives: a value must match one of them (oneOf) or at least one (anyOf).
type group struct {
	keyword string
	parts   []*node
}

// unordered are the keywords that must not change, but may be removed.
var unordered = []string{"not", "contains", "minContains", "maxContains", "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "if", "then", "else",
	"unevaluatedProperties", "unevaluatedItems", "contentEncoding", "contentMediaType", "$dynamicRef", "$recursiveRef"}

// view returns the meaning of a schema. A nil node admits everything.
func (c *comparer) view(n *node) *view {
	if v := c.views[n]; v != nil {
		return v
	}
	v := &view{node: n, types: anyType, null: true}
	c.views[n] = v // for recursive allOf, which adds nothing
	if c.deeper() {
		c.fill(v, n)
	}
	c.depth--
	return v
}

func (c *comparer) fill(v *view, n *node) {
	ref := n.get("$ref")
	if ref != nil {
		if target := n.file.target(ref.str()); target != nil {
			c.takeSchema(v, target)
		} else {
			v.other("$ref", ref)
		}
		if !n.file.version.later() {
			return // in 3.0 keywords beside a reference are ignored
		}
	}
	if n.isFalse() {
		v.nothing = true
	}
	if n.kindOf() != isMap {
		return
	}
	own := &view{node: n, types: anyType, null: true}
	own.fillTypes(n)
	own.fillNumbers(n)
	own.fillInside(n)
	v.take(own)
	for _, part := range n.get("allOf").list() {
		c.takeSchema(v, part)
	}
	if own.nullable {
		v.null, v.nullable = true, true
	}
	if dynamic := n.get("$dynamicRef"); dynamic != nil { // a reference, as no foreign schemas are included
		if target := n.file.target(dynamic.str()); target != nil {
			c.takeSchema(v, target)
		}
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		c.fillGroup(v, keyword, n.get(keyword).list())
	}
	v.node = n
}

// takeSchema merges a schema into v.
func (c *comparer) takeSchema(v *view, n *node) {
	if w := c.view(n); c.step(1 + len(w.members)) {
		v.take(w)
	}
}

// later reports whether a document is OpenAPI 3.1 or later.
func (d *document) later() bool { return !strings.HasPrefix(d.root.get("openapi").str(), "3.0") }

func (v *view) fillTypes(n *node) {
	said := n.get("type")
	names := []string{said.str()}
	if said.kindOf() == isList {
		names = nil
		for _, one := range said.list() {
			names = append(names, one.str())
		}
	}
	if said != nil {
		v.types, v.null = 0, false
		for _, name := range names {
			v.types |= typesByName[name]
			v.null = v.null || name == "null"
		}
	}
	if n.get("nullable").isTrue() {
		v.null, v.nullable = true, true
	}
	v.fillEnum(n.get("enum").list())
	if constant := n.get("const"); constant != nil {
		v.fillEnum([]*node{constant})
	}
	v.readOnly, v.writeOnly = n.get("readOnly").isTrue(), n.get("writeOnly").isTrue()
	if preset := n.get("default"); preset != nil {
		v.preset = preset.canonical()
	}
}

func (v *view) fillEnum(values []*node) {
	if len(values) == 0 {
		return
	}
	all, null := map[string]bool{}, false
	for _, value := range values {
		null = null || value.kindOf() == isNull
		all[value.canonical()] = true
	}
	v.takeEnum(all)
	v.null = v.null && (null || v.nullable)
}

func (v *view) fillNumbers(n *node) {
	limit := func(plain, exclusive string, sign int) *bound {
		var one, other *bound
		if value := n.get(plain).number(); value != nil {
			one = &bound{value, n.get(exclusive).isTrue()}
		}
		if value := n.get(exclusive).number(); value != nil { // of 3.1
			other = &bound{value, true}
		}
		return tighter(one, other, sign)
	}
	v.min, v.max = limit("minimum", "exclusiveMinimum", 1), limit("maximum", "exclusiveMaximum", -1)
	if step := n.get("multipleOf").number(); step != nil && step.Sign() > 0 {
		v.steps = []*big.Rat{step}
	}
	v.length = sizes{n.get("minLength").number(), n.get("maxLength").number()}
	v.items = sizes{n.get("minItems").number(), n.get("maxItems").number()}
	v.properties = sizes{n.get("minProperties").number(), n.get("maxProperties").number()}
	v.unique = n.get("uniqueItems").isTrue()
	if pattern := n.get("pattern"); pattern != nil {
		v.patterns = map[string]bool{pattern.text: true}
	}
	if format := n.get("format").str(); checkedFormats[format] {
		v.formats = map[string]bool{format: true}
	}
}

// checkedFormats are the formats that are validated, or that readers use for decoding. Others are annotations. int64 adds nothing to integer.
var checkedFormats = map[string]bool{
	"date-time": true, "date": true, "time": true, "duration": true, "email": true, "uuid": true, "uri": true, "uri-reference": true, "hostname": true,
	"ipv4": true, "ipv6": true, "int32": true, "float": true, "byte": true, "binary": true,
}

func (v *view) fillInside(n *node) {
	v.item, v.first, v.additional = n.get("items"), n.get("prefixItems").list(), n.get("additionalProperties")
	if properties := n.get("properties"); properties.kindOf() == isMap {
		v.members = make(map[string]*node, len(properties.names))
		for i, name := range properties.names {
			v.members[name] = properties.items[i]
		}
	}
	for _, name := range n.get("required").list() {
		if v.required == nil {
			v.required = map[string]*node{}
		}
		v.required[name.str()] = name
	}
	for _, keyword := range unordered {
		if said := n.get(keyword); said != nil {
			v.other(keyword, said)
		}
	}
	if d := n.get("discriminator"); d != nil {
		v.other("discriminator", d.get("propertyName"))
		d.get("mapping").members(func(value string, target *node) {
			v.choices = put(v.choices, value, target.str()[strings.LastIndexByte(target.str(), '/')+1:])
		})
	}
}

func (v *view) other(keyword string, said *node) {
	if v.others == nil {
		v.others = map[string]string{}
	}
	v.others[keyword] += said.canonical()
}

// fillGroup adds alternatives. A null alternative makes the schema nullable; a single remaining alternative is merged into the schema itself.
func (c *comparer) fillGroup(v *view, keyword string, parts []*node) {
	if len(parts) == 0 {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(parts), func(part *node) bool {
		said := part.resolve().get("type")
		return said.str() == "null" || said.kindOf() == isList && len(said.items) == 1 && said.items[0].str() == "null"
	})
	before, null := v.null, len(kept) < len(parts)
	var types typeSet
	for _, part := range kept {
		inner := c.view(part)
		types |= inner.types
		null = null || inner.null
	}
	switch len(kept) {
	case 0:
	case 1:
		c.takeSchema(v, kept[0])
	default:
		v.types &= types
		v.groups = append(v.groups, group{keyword, kept})
	}
	v.null = v.nullable || before && null
}

// take merges w into v.
func (v *view) take(w *view) {
	v.nothing = v.nothing || w.nothing
	v.types &= w.types
	v.null = v.null && w.null
	v.takeEnum(w.enum)
	v.min, v.max = tighter(v.min, w.min, 1), tighter(v.max, w.max, -1)
	v.steps = append(slices.Clip(v.steps), w.steps...)
	v.length, v.items, v.properties = v.length.and(w.length), v.items.and(w.items), v.properties.and(w.properties)
	v.unique = v.unique || w.unique
	v.patterns, v.formats = union(v.patterns, w.patterns), union(v.formats, w.formats)
	v.item = both(v.item, w.item)
	if len(v.first) == 0 {
		v.first = w.first
	}
	v.takeMembers(w)
	for name, at := range w.required {
		v.required = put(v.required, name, at)
	}
	v.groups = append(slices.Clip(v.groups), w.groups...)
	for keyword, text := range w.others {
		if v.others == nil {
			v.others = map[string]string{}
		}
		v.others[keyword] += text
	}
	for value, target := range w.choices {
		v.choices = put(v.choices, value, target)
	}
	v.readOnly, v.writeOnly = v.readOnly || w.readOnly, v.writeOnly || w.writeOnly
	if v.preset == "" {
		v.preset = w.preset
	}
}

// takeMembers merges what w says about properties. What one of the two says about additional properties also applies to those that only the other
// lists.
func (v *view) takeMembers(w *view) {
	bounded := func(of *view) *node {
		if of.additional.isTrue() || of.others["patternProperties"] != "" {
			return nil
		}
		return of.additional
	}
	mine, theirs := bounded(v), bounded(w)
	for name, member := range v.members {
		if w.members[name] == nil && theirs != nil {
			v.members[name] = both(member, theirs)
		}
	}
	for name, member := range w.members {
		have := v.members[name]
		if have == nil {
			have = mine
		}
		v.members = put(v.members, name, both(have, member))
	}
	v.additional = both(v.additional, w.additional)
	if mine.isFalse() || theirs.isFalse() {
		v.additional = &node{kind: isBool, text: "false"}
	}
}

func (v *view) takeEnum(values map[string]bool) {
	if values == nil {
		return
	}
	if v.enum == nil {
		v.enum = values
		return
	}
	common := map[string]bool{}
	for value := range v.enum {
		if values[value] {
			common[value] = true
		}
	}
	v.enum = common
}

func union(a, b map[string]bool) map[string]bool {
	if len(a) == 0 {
		return b
	}
	out := a
	for text := range b {
		if !out[text] {
			out = put(cloneOf(out), text, true)
		}
	}
	return out
}

func cloneOf(m map[string]bool) map[string]bool {
	out := make(map[string]bool, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}

func put[V any](m map[string]V, name string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[name] = value
	return m
}

// both returns a schema that combines a and b.
func both(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil || a == b:
		return a
	}
	parts := &node{kind: isList, line: a.line, file: a.file, items: []*node{a, b}}
	return &node{kind: isMap, line: a.line, file: a.file, names: []string{"allOf"}, items: []*node{parts}}
}

// tighter returns the stricter of two bounds: the greater for sign 1, the smaller for -1.
func tighter(a, b *bound, sign int) *bound {
	if a == nil || b != nil && (b.value.Cmp(a.value) == sign || b.value.Cmp(a.value) == 0 && b.exclusive) {
		return b
	}
	return a
}

func (s sizes) and(other sizes) sizes {
	if s.min == nil || other.min != nil && other.min.Cmp(s.min) > 0 {
		s.min = other.min
	}
	if s.max == nil || other.max != nil && other.max.Cmp(s.max) < 0 {
		s.max = other.max
	}
	return s
}
