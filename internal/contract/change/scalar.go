package change

import (
	"maps"
	"math/big"
	"slices"
	"strings"
)

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

// short shortens a value for use in a name.
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
