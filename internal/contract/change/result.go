package change

import (
	"fmt"
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

func (r *result) add(path, what string, at *node, format string, args ...any) {
	if len(r.findings) < maxFindings {
		r.findings = append(r.findings, finding{path, what, at, fmt.Sprintf(format, args...)})
	}
}
