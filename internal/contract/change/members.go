package change

import (
	"fmt"
	"maps"
	"slices"
)

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

// newMembers compares new properties of a request with the values accepted before under any name, where the live contract says that any property is
// accepted, or lists none. Elsewhere callers are not expected to have sent a property before it was declared.
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

// required compares the required properties.
func (p *place) required(c *comparer) {
	for _, name := range slices.Sorted(maps.Keys(p.super.required)) {
		if c.demands(p.sub, name, p.direction) || !c.demands(p.super, name, p.direction) {
			continue
		}
		path := p.path + "/" + name
		switch {
		case p.direction == request:
			p.add(path, "became required", p.super.required[name], "a request without it was accepted")
		case p.sub.members[name] != nil || p.super.members[name] == nil: // otherwise it is reported as removed
			p.add(path, "became optional", or(p.sub.members[name], p.sub.node), "the answer had it always")
		}
	}
}

// demands reports whether a property is required in this direction: readOnly properties are not sent, and writeOnly ones not returned.
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
