package change

import (
	"maps"
	"slices"
)

// words are a finding's name in each direction.
type words [2]string

// place is where two schemas are compared.
type place struct {
	*result
	path       string
	sub, super *view
	direction  direction
}

// say adds a finding, with its name for the direction.
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

// flags compares the annotations of a property that matter to callers.
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
