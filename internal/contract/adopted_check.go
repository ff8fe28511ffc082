package contract

import (
	"runtime"
	"slices"
	"strconv"
	"time"
)

// maxSteps plus stepsPerValue for each value is how many schema checks one request may take.
const maxSteps, stepsPerValue = 1 << 17, 32

// held is a value that is currently checked against a recursive schema.
type held struct {
	schema *schema
	value  int
}

// maxMatching bounds the cost of matching patterns for one request: the sum of text length times pattern size, plus the lengths of enumerations. It
// corresponds to about a second for the worst pattern, and to more than 100 MiB of texts for the pattern of base64.
const maxMatching = 1 << 27

// fits reports whether the string v matches a pattern. A pattern of an adopted document is matched only within the request's budget: neither engine
// can be stopped in time, as a request may contain many texts.
func (c *checker) fits(p *pattern, v int) bool {
	if p.cost > 0 {
		if c.matching > maxMatching {
			return false
		}
		c.matching += p.cost * (len(c.text(v)) + 1)
	}
	if p.backtracking == nil || c.matching > maxMatching {
		return c.matching <= maxMatching && p.match(c.text(v))
	}
	began := time.Now()
	fits := p.match(c.text(v))
	c.matching += int(time.Since(began) * maxMatching / maxBacktracking)
	return fits
}

// among is listed for enumerations of adopted documents, which may be long.
func (c *checker) among(e *enum, v int) bool {
	c.matching += len(e.texts) + len(e.others)
	return c.matching <= maxMatching && c.listed(e, v)
}

// adoptedPart is part for schemas of adopted documents, where null is an ordinary value.
func (c *checker) adoptedPart(s *schema, v int) bool {
	a := s.adopted
	if c.steps++; c.steps > maxSteps+stepsPerValue*len(c.tokens) {
		c.quiet, c.more = false, c.more || len(c.found) > 0
		return c.fail(v, string(RuleWork), "is too much work to check")
	}
	switch {
	case c.steps&(8*turnEvery-1) == 0:
		GiveWay()
	case c.steps&(turnEvery-1) == 0:
		runtime.Gosched()
	}
	switch {
	case a.never:
		return c.fail(v, "false", "must not be sent")
	case !a.again:
		return c.keywords(s, v)
	case slices.Contains(c.within, held{s, v}):
		return true
	}
	c.within = append(c.within, held{s, v})
	ok := c.keywords(s, v)
	c.within = c.within[:len(c.within)-1]
	return ok
}

// keywords checks a value against the keywords of s itself.
func (c *checker) keywords(s *schema, v int) bool {
	a, ok := s.adopted, true
	if s.composed {
		if ok = c.composition(s, v); c.full(ok) {
			return false
		}
	}
	if s.enum != nil && !c.among(s.enum, v) {
		ok = c.fail(v, "enum", s.say.enum)
	}
	k := c.tokens[v].kind
	if s.types != 0 && s.types&kindTypes[k] == 0 {
		return c.fail(v, "type", s.say.types)
	}
	switch k {
	case kindNumber:
		ok = c.numeric(s, v) && ok
	case kindString:
		ok = (c.tokens[v].opaque || c.textual(s, v)) && ok
	case kindArray:
		ok = c.adoptedItems(s, v) && ok
	case kindObject:
		ok = c.adoptedMembers(s, v) && ok
	}
	if !a.asserts || c.full(ok) {
		return ok
	}
	return c.later(s, v) && ok
}

// later checks the keywords of JSON Schema 2020-12 that OpenAPI 3.0 does not have.
func (c *checker) later(s *schema, v int) bool {
	a, k, ok := s.adopted, c.tokens[v].kind, true
	if a.constant != nil && !c.among(a.constant, v) {
		ok = c.fail(v, "const", "is not the one value that is allowed")
	}
	if k == kindNumber {
		ok = c.bounds(a.bounds, v) && ok
	}
	if a.when != nil {
		then := a.other
		if c.matches(a.when, v) {
			then = a.then
		}
		if then != nil {
			ok = c.part(then, v) && ok
		}
	}
	switch k {
	case kindArray:
		ok = c.contains(a, v) && c.unevaluatedItems(s, v) && ok
	case kindObject:
		ok = c.dependencies(a, v) && c.unevaluatedMembers(s, v) && ok
	}
	return ok
}

func (c *checker) bounds(bounds []*bound, v int) bool {
	ok := true
	for _, b := range bounds {
		low, same, high := b.compare(c.text(v))
		outside := high
		if b.keyword == "minimum" || b.keyword == "exclusiveMinimum" {
			outside = low
		}
		if outside || same && b.exclusive {
			ok = c.fail(v, b.keyword, b.message)
		}
	}
	return ok
}

// adoptedItems is items with prefixItems, after which items applies.
func (c *checker) adoptedItems(s *schema, v int) bool {
	prefix := s.adopted.prefixItems
	if prefix == nil {
		return c.items(s, v)
	}
	ok, item := c.items(s, v), v+1
	for i := range c.count(v) {
		one := s.adopted.restItems
		if i < len(prefix) {
			one = prefix[i]
		}
		if one != nil {
			ok = c.part(one, item) && ok
			if c.full(ok) {
				return false
			}
		}
		item = c.after(item)
	}
	return ok
}

func (c *checker) contains(a *adoptedSchema, v int) bool {
	if a.contains == nil {
		return true
	}
	count, item := 0, v+1
	for range c.count(v) {
		if c.matches(a.contains, item) {
			count++
		}
		item = c.after(item)
	}
	if count < a.minContains || a.maxContains >= 0 && count > a.maxContains {
		return c.fail(v, "contains", "has too few or too many items that match")
	}
	return true
}

// adoptedMembers is members with patternProperties and propertyNames, which additionalProperties takes into account.
func (c *checker) adoptedMembers(s *schema, v int) bool {
	a := s.adopted
	if a.patternProperties == nil && a.propertyNames == nil {
		return c.members(s, v)
	}
	ok, key := c.members(s, v), v+1
	for range c.count(v) {
		ok = c.named(s, key) && ok
		if c.full(ok) {
			return false
		}
		key = c.after(key + 1)
	}
	return ok
}

// named checks a member against the keywords that depend on its name.
func (c *checker) named(s *schema, key int) bool {
	a, ok, known := s.adopted, true, s.properties[c.text(key)] != nil
	if a.propertyNames != nil && !c.matches(a.propertyNames, key) {
		ok = c.fail(key+1, "propertyNames", "has a name that is not allowed")
	}
	for _, p := range a.patternProperties {
		if c.fits(p.pattern, key) {
			known = true
			ok = c.part(p.schema, key+1) && ok
		}
	}
	switch {
	case known:
	case a.closed:
		ok = c.fail(key+1, "additionalProperties", "is not a property of this object")
	case a.restMembers != nil:
		ok = c.part(a.restMembers, key+1) && ok
	}
	return ok
}

func (c *checker) dependencies(a *adoptedSchema, v int) bool {
	ok := true
	for _, d := range a.dependentRequired {
		if c.get(v, d.name) < 0 {
			continue
		}
		for _, name := range d.required {
			if c.get(v, name) < 0 {
				ok = c.fail(v, "dependentRequired", "is required beside "+d.name, name)
			}
		}
	}
	for _, d := range a.dependentSchemas {
		if c.get(v, d.name) >= 0 {
			ok = c.part(d.schema, v) && ok
		}
	}
	return ok
}

// unevaluatedMembers checks the members that no part of s has evaluated against unevaluatedProperties.
func (c *checker) unevaluatedMembers(s *schema, v int) bool {
	rest := s.adopted.unevaluatedProperties
	if rest == nil {
		return true
	}
	ok, key := true, v+1
	for range c.count(v) {
		if !c.evaluates(s, v, key, true) {
			if rest.adopted.never {
				ok = c.fail(key+1, "unevaluatedProperties", "is not a property of this object")
			} else {
				ok = c.part(rest, key+1) && ok
			}
			if c.full(ok) {
				return false
			}
		}
		key = c.after(key + 1)
	}
	return ok
}

// evaluates reports whether s, or a part of it, is satisfied by v and evaluates the member at key. For s itself its own unevaluatedProperties does not
// count.
func (c *checker) evaluates(s *schema, v, key int, itself bool, way ...*schema) bool {
	a := s.adopted
	if c.steps++; c.steps > maxSteps+stepsPerValue*len(c.tokens) || a.again && slices.Contains(way, s) {
		return false
	}
	if s.closed || a.closed || s.open || !itself && a.unevaluatedProperties != nil || s.properties[c.text(key)] != nil {
		return true
	}
	for _, p := range a.patternProperties {
		if c.fits(p.pattern, key) {
			return true
		}
	}
	return c.applies(s, v, func(part *schema) bool { return c.evaluates(part, v, key, false, append(way, s)...) })
}

// applies visits the parts of s that v satisfies, until visit returns true.
func (c *checker) applies(s *schema, v int, visit func(*schema) bool) bool {
	a := s.adopted
	for _, part := range s.allOf {
		if visit(part) {
			return true
		}
	}
	for _, list := range [][]*schema{s.anyOf, s.oneOf} {
		for _, part := range list {
			if c.matches(part, v) && visit(part) {
				return true
			}
		}
	}
	if a.when != nil {
		then := a.other
		if c.matches(a.when, v) {
			if visit(a.when) {
				return true
			}
			then = a.then
		}
		if then != nil && visit(then) {
			return true
		}
	}
	for _, d := range a.dependentSchemas {
		if c.tokens[v].kind == kindObject && c.get(v, d.name) >= 0 && visit(d.schema) {
			return true
		}
	}
	return false
}

func (c *checker) unevaluatedItems(s *schema, v int) bool {
	rest := s.adopted.unevaluatedItems
	if rest == nil {
		return true
	}
	ok, item := true, v+1
	for i := range c.count(v) {
		if !c.evaluatesItem(s, v, i, item, true) {
			if rest.adopted.never {
				ok = c.fail(item, "unevaluatedItems", "item "+strconv.Itoa(i)+" is one too many")
			} else {
				ok = c.part(rest, item) && ok
			}
			if c.full(ok) {
				return false
			}
		}
		item = c.after(item)
	}
	return ok
}

// evaluatesItem is evaluates for items.
func (c *checker) evaluatesItem(s *schema, v, i, item int, itself bool, way ...*schema) bool {
	a := s.adopted
	if c.steps++; c.steps > maxSteps+stepsPerValue*len(c.tokens) || a.again && slices.Contains(way, s) {
		return false
	}
	if i < len(a.prefixItems) || s.items != nil || a.restItems != nil || !itself && a.unevaluatedItems != nil {
		return true
	}
	if a.contains != nil && c.matches(a.contains, item) {
		return true
	}
	return c.applies(s, v, func(part *schema) bool { return c.evaluatesItem(part, v, i, item, false, append(way, s)...) })
}

// adoptedAlternatives checks oneOf or anyOf of an adopted document. A discriminator selects the alternative that its value names; where it names
// none, the value is checked against all of them, as JSON Schema specifies.
func (c *checker) adoptedAlternatives(d *discriminator, list []*schema, keyword, none string, v int) bool {
	if d != nil && c.tokens[v].kind == kindObject {
		if named := c.get(v, d.property); named >= 0 && c.tokens[named].kind == kindString {
			i, known := d.choice[c.text(named)]
			switch {
			case known && i >= 0 && i < len(list):
				return c.part(list[i], v)
			case !known && !d.unnamed:
				return c.fail(v, "discriminator", "names no alternative", d.property)
			}
		}
	}
	if len(list) == 1 {
		return c.part(list[0], v)
	}
	count := 0
	for _, one := range list {
		if !c.matches(one, v) {
			continue
		}
		if count++; keyword == "anyOf" {
			return true
		}
	}
	switch count {
	case 0:
		return c.fail(v, keyword, none)
	case 1:
		return true
	}
	return c.fail(v, keyword, "matches more than one alternative")
}
