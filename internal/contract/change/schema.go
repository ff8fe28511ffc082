package change

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// direction says whose values a schema describes.
type direction int

const (
	request direction = iota
	answer
)

func (d direction) String() string { return [...]string{"requests", "answers"}[d] }

// A comparison asks whether every value of one schema (sub) is one of another (super): in requests the live one is sub and the next super, in
// answers it is the other way round.

// finding is one reason why it is not.
type finding struct {
	path string // within the schema: "/owner/name", "/tags/[]"
	what string // in the words of names
	at   *node  // in the next version; nil: of what is around it
	text string
}

// result is what a comparison of two schemas has found.
type result struct {
	busy     bool // it is under way; what leads back to it adds nothing
	quick    bool // one finding is enough: it is asked only whether there is any
	findings []finding
	inside   []link
}

// link leads to what was found in schemas that are part of others. With a name the findings are told by that name; without, they were taken over.
type link struct {
	to   *result
	name string
}

// clean reports whether nothing was found, in named schemas either.
func (c *comparer) clean(r *result, seen map[*result]bool) bool {
	if len(r.findings) > 0 {
		return false
	}
	seen[r] = true
	for _, l := range r.inside {
		if c.step(1) && !seen[l.to] && !c.clean(l.to, seen) {
			return false
		}
	}
	return true
}

// step counts work, and reports false when it was too much. Then the comparison ends with ErrTooDifferent, whatever was found.
func (c *comparer) step(n int) bool {
	c.steps += n
	return c.steps <= maxSteps
}

// deeper is step, one level further down; the caller takes the level back.
func (c *comparer) deeper() bool {
	if c.depth++; c.depth > maxDepth {
		c.steps = maxSteps
	}
	return c.step(1)
}

type pairKey struct {
	sub, super *node
	direction  direction
	quick      bool
}

const (
	maxFindings = 200  // of one pair of schemas
	maxDepth    = 4000 // of schemas within schemas, all references followed
)

// pair compares two schemas once.
func (c *comparer) pair(sub, super *node, d direction, quick bool) *result {
	key := pairKey{sub, super, d, quick}
	if r := c.pairs[key]; r != nil {
		return r
	}
	r := &result{busy: true, quick: quick}
	c.pairs[key] = r
	c.compare(r, "", c.view(sub), c.view(super), d)
	r.busy = false
	return r
}

func (r *result) enough() bool { return r.quick && len(r.findings) > 0 }

// within compares two schemas that are part of others, at a path of them.
func (c *comparer) within(r *result, path string, sub, super *node, d direction) {
	if r.enough() {
		return
	}
	name := sharedName(sub)
	if name != sharedName(super) || r.quick {
		name = ""
	}
	inner := c.pair(sub.through(), super.through(), d, r.quick)
	if name == "" {
		for _, f := range inner.findings {
			if !c.step(1) || len(r.findings) >= maxFindings {
				break
			}
			f.path = path + f.path
			r.findings = append(r.findings, f)
		}
	}
	r.inside = append(r.inside, link{inner, name})
}

// sharedName returns the name of the schema that a node refers to; "" for one that is written there.
func sharedName(n *node) string {
	if n.through() == n {
		return ""
	}
	ref := n.get("$ref").str()
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

// words are how a finding is called in each direction.
type words [2]string

// compare compares what two schemas say.
func (c *comparer) compare(r *result, path string, sub, super *view, d direction) {
	defer func() { c.depth-- }()
	if !c.deeper() || sub.nothing {
		return
	}
	p := &place{r, path, sub, super, d}
	switch {
	case super.nothing:
		p.say(words{"nothing is taken any more", "nothing was answered"}, "the schema is false")
		return
	case len(sub.groups) > 0 && len(super.groups) == 0 && !super.indifferent():
		for _, part := range sub.groups[0].parts {
			if c.step(1) && !r.enough() {
				c.compare(r, path, c.with(sub, part), super, d)
			}
		}
		return
	case len(sub.groups) == 0 && len(super.groups) > 0:
		for i, part := range super.groups[0].parts {
			if c.none(p, sub, c.with(super, part)) {
				c.once(p, sub, super, i)
				return
			}
		}
		p.say(words{"alternatives added", "alternatives removed"}, "no alternative has all of the values of the other version")
	}
	p.keywords(c)
	if len(sub.groups) > 0 {
		c.groups(p)
	}
}

// groups compares alternatives with those of the same keyword, else with any, else all values with them.
func (c *comparer) groups(p *place) {
	left := slices.Clone(p.sub.groups)
	for _, g := range p.super.groups {
		at := slices.IndexFunc(left, func(other group) bool { return other.keyword == g.keyword })
		if at < 0 {
			at = len(left) - 1
		}
		if at >= 0 {
			c.alternatives(p, left[at], g)
			left = slices.Delete(left, at, at+1)
			continue
		}
		all := *p.sub
		all.groups = nil
		if !slices.ContainsFunc(g.parts, func(part *node) bool { return c.none(p, &all, c.view(part.through())) }) {
			p.say(words{"alternatives added", "alternatives removed"}, "no alternative has all of the values of the other version")
		}
	}
}

// tryCost is the work of a comparison that only asks whether there is a difference, in steps.
const tryCost = 20

// none reports whether there is no difference. What that rests on is linked to the place: a pair that is still under way may yet find one.
func (c *comparer) none(p *place, sub, super *view) bool {
	try := &result{quick: true}
	if c.step(tryCost) {
		c.compare(try, "", sub, super, p.direction)
	}
	return c.rests(p, try)
}

func (c *comparer) rests(p *place, on *result) bool {
	if !c.clean(on, map[*result]bool{}) {
		return false
	}
	p.inside = append(p.inside, link{on, ""})
	return true
}

// with returns what a schema says with one of the alternatives of its first group.
func (c *comparer) with(v *view, part *node) *view {
	w := c.view(part)
	if !c.step(tryCost + len(v.members) + len(w.members) + len(v.required) + 4*len(v.groups)) {
		return v
	}
	one := &view{types: anyType, null: true}
	one.take(v)
	one.groups = slices.Clone(v.groups[1:])
	one.take(w)
	one.null, one.node = v.null && w.null, v.node
	return one
}

// keywords compares all but alternatives.
func (p *place) keywords(c *comparer) {
	both := p.sub.types & p.super.types
	for _, check := range []func(){
		p.types, p.enum, p.numbers, p.texts, p.unorderedKeywords, p.choices, p.flags,
		func() {
			if both&typeArray != 0 {
				c.lists(p)
			}
		},
		func() {
			if both&typeObject != 0 && c.step(len(p.sub.members)+len(p.super.required)) {
				c.objects(p)
			}
		},
	} {
		if check(); p.enough() {
			return
		}
	}
}

// indifferent reports whether a schema allows every value.
func (v *view) indifferent() bool {
	return v.types == anyType && v.null && v.enum == nil && len(v.members)+len(v.required)+len(v.others)+len(v.groups) == 0 && v.additional == nil && v.item == nil
}

// at is where the next version says it.
func at(sub, super *view, d direction) *node {
	if d == request {
		return super.node
	}
	return sub.node
}

// place is where two schemas are compared.
type place struct {
	*result
	path       string
	sub, super *view
	direction  direction
}

func (r *result) add(path, what string, at *node, format string, args ...any) {
	if len(r.findings) < maxFindings {
		r.findings = append(r.findings, finding{path, what, at, fmt.Sprintf(format, args...)})
	}
}

// say adds a finding, which has another name in each direction.
func (p *place) say(w words, format string, args ...any) {
	p.add(p.path, w[p.direction], at(p.sub, p.super, p.direction), format, args...)
}

func (p *place) types() {
	if extra := p.sub.types &^ p.super.types; extra != 0 {
		p.say(words{"type narrowed", "type widened"}, "%s instead of %s", p.next().types, p.live().types)
	}
	if p.sub.null && !p.super.null {
		p.say(words{"null refused", "null added"}, "nullable has changed")
	}
}

func (p *place) live() *view {
	if p.direction == request {
		return p.sub
	}
	return p.super
}

func (p *place) next() *view {
	if p.direction == request {
		return p.super
	}
	return p.sub
}

func (p *place) enum() {
	if p.super.enum == nil {
		return
	}
	if p.sub.enum == nil {
		p.say(words{"enum added", "enum removed"}, "one version allows any value")
		return
	}
	for _, value := range slices.Sorted(maps.Keys(p.sub.enum)) {
		if value != "null" && !p.super.enum[value] {
			p.say(words{"enum value " + short(value) + " removed", "enum value " + short(value) + " added"}, "it is in one version only")
		}
	}
}

// short cuts a value for a name.
func short(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

func (p *place) numbers() {
	both := p.sub.types & p.super.types
	if both&typeNumber != 0 {
		p.bound("minimum", p.sub.min, p.super.min, 1)
		p.bound("maximum", p.sub.max, p.super.max, -1)
		for _, step := range p.super.steps {
			if !slices.ContainsFunc(p.sub.steps, func(have *big.Rat) bool { return new(big.Rat).Quo(have, step).IsInt() }) &&
				!(p.sub.types&typeFraction == 0 && new(big.Rat).Inv(step).IsInt()) {
				p.say(words{"multipleOf narrowed", "multipleOf widened"}, "multiples of %s", step.RatString())
			}
		}
	}
	for _, one := range []struct {
		name       string
		of         typeSet
		sub, super sizes
	}{
		{"Length", typeString, p.sub.length, p.super.length}, {"Items", typeArray, p.sub.items, p.super.items},
		{"Properties", typeObject, p.sub.properties, p.super.properties},
	} {
		if both&one.of != 0 {
			p.size(one.name, one.sub, one.super)
		}
	}
}

// bound compares a minimum (sign 1) or a maximum (sign -1).
func (p *place) bound(name string, sub, super *bound, sign int) {
	if super == nil {
		return
	}
	w := words{name + " raised", name + " lowered"}
	if sign < 0 {
		w[0], w[1] = w[1], w[0]
	}
	if sub == nil {
		p.say(w, "%s is %s where there was none in the other version", name, super.value.RatString())
		return
	}
	if order := super.value.Cmp(sub.value); order == sign || order == 0 && super.exclusive && !sub.exclusive {
		p.say(w, "%s is %s in one version and %s in the other", name, super.value.RatString(), sub.value.RatString())
	}
}

func (p *place) size(name string, sub, super sizes) {
	if super.min != nil && super.min.Sign() > 0 && (sub.min == nil || sub.min.Cmp(super.min) < 0) {
		p.say(words{"min" + name + " raised", "min" + name + " lowered"}, "%s in one version and %s in the other", rat(super.min), rat(sub.min))
	}
	if super.max != nil && (sub.max == nil || sub.max.Cmp(super.max) > 0) {
		p.say(words{"max" + name + " lowered", "max" + name + " raised"}, "%s in one version and %s in the other", rat(super.max), rat(sub.max))
	}
}

func rat(r *big.Rat) string {
	if r == nil {
		return "none"
	}
	return r.RatString()
}

func (p *place) texts() {
	if p.sub.types&p.super.types&typeString != 0 {
		for pattern := range p.super.patterns {
			if !p.sub.patterns[pattern] {
				p.say(words{"pattern changed", "pattern changed"}, "texts must match another pattern")
			}
		}
	}
	for format := range p.super.formats {
		ofNumber := format == "int32" || format == "float"
		if !p.sub.formats[format] && (ofNumber && p.sub.types&typeNumber != 0 || !ofNumber && p.sub.types&typeString != 0) {
			p.say(words{"format narrowed", "format widened"}, "the format %s holds in one version only", format)
		}
	}
	if p.super.unique && !p.sub.unique && p.sub.types&typeArray != 0 {
		p.say(words{"unique items demanded", "unique items no longer promised"}, "uniqueItems has changed")
	}
}

func (p *place) unorderedKeywords() {
	for _, keyword := range slices.Sorted(maps.Keys(p.super.others)) {
		if p.sub.others[keyword] != p.super.others[keyword] {
			p.say(words{keyword + " changed", keyword + " changed"}, "values that one version allows may be refused by the other")
		}
	}
}

// choices compares the values of discriminators.
func (p *place) choices() {
	if len(p.super.choices) == 0 {
		return
	}
	for _, value := range slices.Sorted(maps.Keys(p.sub.choices)) {
		if p.super.choices[value] != p.sub.choices[value] {
			p.say(words{"discriminator value " + short(value) + " removed", "discriminator value " + short(value) + " added"}, "it chooses another alternative, or none")
		}
	}
}

// flags compares what a property says beside its values.
func (p *place) flags() {
	if p.direction == request && p.live().preset != p.next().preset {
		p.say(words{"default changed"}, "what is not sent means %s instead of %s", presetText(p.next().preset), presetText(p.live().preset))
	}
	switch {
	case p.direction == request && p.next().readOnly && !p.live().readOnly:
		p.say(words{"became readOnly"}, "it was taken")
	case p.direction == answer && p.next().writeOnly && !p.live().writeOnly:
		p.say(words{1: "became writeOnly"}, "it was answered")
	}
}

func presetText(text string) string {
	if text == "" {
		return "nothing"
	}
	return short(text)
}

func (c *comparer) lists(p *place) {
	for i, super := range p.super.first {
		sub := p.sub.item
		if i < len(p.sub.first) {
			sub = p.sub.first[i]
		}
		c.within(p.result, fmt.Sprintf("%s/%d", p.path, i), sub, super, p.direction)
	}
	if p.super.item == nil {
		return
	}
	for i := len(p.super.first); i < len(p.sub.first); i++ {
		c.within(p.result, fmt.Sprintf("%s/%d", p.path, i), p.sub.first[i], p.super.item, p.direction)
	}
	c.within(p.result, p.path+"/[]", p.sub.item, p.super.item, p.direction)
}

func (c *comparer) objects(p *place) {
	p.required(c)
	for _, name := range slices.Sorted(maps.Keys(p.live().members)) {
		p.member(c, name)
	}
	sub, super := p.sub.additional, p.super.additional
	switch {
	case p.direction == request && !sub.isFalse() && (sub != nil || len(p.sub.members) == 0):
		p.newMembers(c)
	case p.direction == answer && super.kindOf() == isMap:
		for _, name := range slices.Sorted(maps.Keys(p.sub.members)) {
			if p.super.members[name] == nil {
				c.within(p.result, p.path+"/"+name, p.sub.members[name], super, answer)
			}
		}
	}
	switch {
	case p.direction == request && super.isFalse() && !sub.isFalse():
		p.say(words{"further properties refused"}, "a request with other properties was taken")
	case super.kindOf() == isMap && sub.isFalse():
		if p.direction == answer {
			p.say(words{1: "further properties removed"}, "the answer had properties of any name")
		}
	case super.kindOf() == isMap && (sub != nil || p.direction == request):
		if sub.isTrue() {
			sub = nil
		}
		c.within(p.result, p.path+"/{}", sub, super, p.direction)
	}
}

// newMembers compares properties that are new in a request with what was taken by any name, where the live contract says that any is taken, or lists
// none. Elsewhere nobody is expected to have sent one before it was declared.
func (p *place) newMembers(c *comparer) {
	further := p.sub.additional
	if further.isTrue() {
		further = nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.super.members)) {
		if is := p.super.members[name]; p.sub.members[name] == nil && !c.view(is.through()).readOnly {
			c.within(p.result, p.path+"/"+name, further, is, request)
		}
	}
}

// required compares which properties there must be.
func (p *place) required(c *comparer) {
	for _, name := range slices.Sorted(maps.Keys(p.super.required)) {
		if c.demands(p.sub, name, p.direction) || !c.demands(p.super, name, p.direction) {
			continue
		}
		path := p.path + "/" + name
		switch {
		case p.direction == request:
			p.add(path, "became required", p.super.required[name], "a request without it was taken")
		case p.sub.members[name] != nil || p.super.members[name] == nil: // else it is told that it is gone
			p.add(path, "became optional", or(p.sub.members[name], p.sub.node), "the answer had it always")
		}
	}
}

// demands reports whether a property must be there: what is readOnly is not sent, and what is writeOnly not answered.
func (c *comparer) demands(v *view, name string, d direction) bool {
	said := c.view(v.members[name].through())
	return v.required[name] != nil && !(d == request && said.readOnly) && !(d == answer && said.writeOnly)
}

func or(a, b *node) *node {
	if a == nil {
		return b
	}
	return a
}

// member compares a property of the live version.
func (p *place) member(c *comparer, name string) {
	was, is := p.live().members[name], p.next().members[name]
	path := p.path + "/" + name
	said := c.view(was.through())
	if p.direction == request && said.readOnly || p.direction == answer && said.writeOnly {
		return
	}
	further := p.next().additional
	switch {
	case is == nil && further.kindOf() == isMap && len(further.names) > 0:
		is = further
	case is == nil:
		p.add(path, "removed", p.next().node, "the property is not declared any more")
		return
	}
	if p.direction == request {
		c.within(p.result, path, was, is, p.direction)
		return
	}
	c.within(p.result, path, is, was, p.direction)
}

// alternatives finds for each alternative of sub one of super that has all of its values: the one of the same name, else any.
func (c *comparer) alternatives(p *place, sub, super group) {
	if sub.keyword == "anyOf" && super.keyword == "oneOf" {
		p.say(words{"anyOf became oneOf", "oneOf became anyOf"}, "a value of several alternatives is one in one version only")
	}
	kept := make([]int, len(sub.parts)) // which of super has the values of each; -1 for none
	known := map[string]int{}           // alternatives of super by their names, or as they are written
	for i, part := range slices.Backward(super.parts) {
		known[part.known()] = i
	}
	for i, part := range sub.parts {
		if !c.step(1) || p.enough() {
			return
		}
		name := sharedName(part)
		same, found := known[part.known()]
		if kept[i] = same; found {
			c.within(p.result, p.path, part, super.parts[same], p.direction)
			continue
		}
		kept[i] = slices.IndexFunc(super.parts, func(other *node) bool { return c.fits(p, part.through(), other.through()) })
		if kept[i] >= 0 {
			continue
		}
		if name == "" {
			name = fmt.Sprint(i + 1)
		}
		p.say(words{"alternative " + name + " removed", "alternative " + name + " added"}, "no alternative of the other version has all of its values")
	}
	if p.direction == request && super.keyword == "oneOf" && p.super.others["discriminator"] == "" {
		c.newParts(p, sub, super, kept)
	}
}

// known is what an alternative is found again by.
func (n *node) known() string {
	if name := sharedName(n); name != "" {
		return "name " + name
	}
	return n.canonical()
}

// newParts tells alternatives of oneOf that are new and may have values of those that are still there.
func (c *comparer) newParts(p *place, live, next group, kept []int) {
	had := map[int]bool{}
	for _, i := range kept {
		had[i] = true
	}
	for i, part := range next.parts {
		if had[i] || !c.step(1) {
			continue
		}
		new := c.view(part.through())
		for j, old := range live.parts {
			if kept[j] >= 0 && !c.apart(c.view(old.through()), new) {
				p.say(words{"oneOf may fit twice"}, "a value of alternative %d of the live contract may fit the new alternative %d too, and oneOf refuses it", j+1, i+1)
				return
			}
		}
	}
}

// once tells a break where values that one alternative of oneOf has may be those of another too, which oneOf refuses. A discriminator chooses one.
func (c *comparer) once(p *place, sub, super *view, chosen int) {
	g := super.groups[0]
	if p.direction == answer || g.keyword != "oneOf" || super.others["discriminator"] != "" {
		return
	}
	for i, part := range g.parts {
		if i != chosen && !c.apart(sub, c.view(part.through())) {
			p.say(words{"oneOf may fit twice"}, "a value that was taken may fit alternatives %d and %d, and oneOf refuses it", chosen+1, i+1)
			return
		}
	}
}

// apart reports whether two schemas certainly have no value in common.
func (c *comparer) apart(a, b *view) bool {
	if !c.step(1+len(a.required)+len(b.required)) || a.types&b.types == 0 && !(a.null && b.null) || a.nothing || b.nothing || disjoint(a.enum, b.enum) {
		return true
	}
	if a.types&b.types != typeObject || a.null && b.null {
		return false
	}
	for name := range a.required {
		if b.additional.isFalse() && b.members[name] == nil {
			return true
		}
		if b.required[name] == nil || a.members[name] == nil || b.members[name] == nil {
			continue
		}
		one, other := c.view(a.members[name].through()), c.view(b.members[name].through())
		if disjoint(one.enum, other.enum) || one.types&other.types == 0 && !(one.null && other.null) {
			return true
		}
	}
	for name := range b.required {
		if a.additional.isFalse() && a.members[name] == nil {
			return true
		}
	}
	return false
}

func disjoint(a, b map[string]bool) bool {
	if a == nil || b == nil {
		return false
	}
	for value := range a {
		if b[value] {
			return false
		}
	}
	return true
}

// fits is none for two nodes.
func (c *comparer) fits(p *place, sub, super *node) bool {
	return c.step(tryCost) && c.rests(p, c.pair(sub, super, p.direction, true))
}
