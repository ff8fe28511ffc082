package change

import (
	"fmt"
	"strings"
)

// direction says whether a schema describes requests or answers.
type direction int

const (
	request direction = iota
	answer
)

func (d direction) String() string { return [...]string{"requests", "answers"}[d] }

// A comparison asks whether every value of one schema (sub) is valid for another (super): in requests the live one is sub and the next is super, in
// answers the other way round.

// finding is one reason why that is not so.
type finding struct {
	path string // within the schema: "/owner/name", "/tags/[]"
	what string // in the words of change names
	at   *node  // in the next version; nil: the enclosing element's
	text string
}

// result is the result of comparing two schemas.
type result struct {
	busy     bool // in progress; a recursive comparison adds nothing
	quick    bool // stop at the first finding: only whether there is one matters
	findings []finding
	inside   []link
}

// link refers to the result of a nested comparison. With a name its findings are reported under that name; without, they were merged.
type link struct {
	to   *result
	name string
}

// clean reports whether there is no finding, in named schemas either.
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

// step counts work. It returns false when the limit is exceeded; then the comparison ends with ErrTooDifferent, whatever was found.
func (c *comparer) step(n int) bool {
	c.steps += n
	return c.steps <= maxSteps
}

// deeper is step, one level deeper; the caller leaves the level again.
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

// within compares two nested schemas at a path.
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

// sharedName returns the name of the schema that a node refers to, or "" for an inline schema.
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
