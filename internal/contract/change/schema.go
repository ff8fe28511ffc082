package change

import "slices"

// compare compares two schemas.
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

// groups compares alternatives with those of the same keyword, or else with those of any, or else all values with them.
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

// tryCost is the work, in steps, of a comparison that only asks whether there is a difference.
const tryCost = 20

// none reports whether there is no difference. The results that this depends on are linked to the place: a comparison still in progress may yet find
// one.
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

// with returns a schema combined with one alternative of its first group.
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

// keywords compares everything except alternatives.
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

// indifferent reports whether a schema admits every value.
func (v *view) indifferent() bool {
	return v.types == anyType && v.null && v.enum == nil && len(v.members)+len(v.required)+len(v.others)+len(v.groups) == 0 && v.additional == nil && v.item == nil
}

// at returns the node in the next version.
func at(sub, super *view, d direction) *node {
	if d == request {
		return super.node
	}
	return sub.node
}
