package change

import (
	"fmt"
	"slices"
)

// alternatives finds for each alternative of sub one of super that admits all of its values: the one with the same name, or else any.
func (c *comparer) alternatives(p *place, sub, super group) {
	if sub.keyword == "anyOf" && super.keyword == "oneOf" {
		p.say(words{"anyOf became oneOf", "oneOf became anyOf"}, "a value of several alternatives is one in one version only")
	}
	kept := make([]int, len(sub.parts)) // for each part of sub, the index in super that admits its values; -1 for none
	known := map[string]int{}           // alternatives of super by name, or by their canonical text
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

// known returns the key by which an alternative is recognized in the other version.
func (n *node) known() string {
	if name := sharedName(n); name != "" {
		return "name " + name
	}
	return n.canonical()
}

// newParts reports new alternatives of oneOf that may admit values of those that still exist.
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
				p.say(words{"oneOf may fit twice"}, "a value of alternative %d of the live contract may match the new alternative %d too, and oneOf refuses it", j+1, i+1)
				return
			}
		}
	}
}

// once reports a break where a value of one alternative of oneOf may be valid for another, too, which oneOf refuses. A discriminator chooses only
// one.
func (c *comparer) once(p *place, sub, super *view, chosen int) {
	g := super.groups[0]
	if p.direction == answer || g.keyword != "oneOf" || super.others["discriminator"] != "" {
		return
	}
	for i, part := range g.parts {
		if i != chosen && !c.apart(sub, c.view(part.through())) {
			p.say(words{"oneOf may fit twice"}, "a value that was accepted may match alternatives %d and %d, and oneOf refuses it", chosen+1, i+1)
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

// fits reports whether super accepts all that sub accepts. It is the case of none for two single nodes, and compares each pair once.
func (c *comparer) fits(p *place, sub, super *node) bool {
	return c.step(tryCost) && c.rests(p, c.pair(sub, super, p.direction, true))
}
