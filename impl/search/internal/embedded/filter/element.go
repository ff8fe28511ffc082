package filter

import (
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Element requires that one element of a list of objects meets all conditions of Inner.
type Element struct {
	Object *schema.Field
	Path   string
	Inner  *Node
}

// element reads the start of "object.{ ... }".
func (p *parser) element() (path string, ok bool) {
	rest := p.text[p.pos:]
	at := strings.Index(rest, ".{")
	if at <= 0 || strings.ContainsAny(rest[:at], ":&|()`{} ") {
		return "", false
	}
	p.pos += at + len(".{")
	return rest[:at], true
}

// inside reads the conditions on the elements of an object, up to the closing brace.
func (p *parser) inside(path string) (*Node, error) {
	f, ok := p.schema.Field(p.prefix + path)
	switch {
	case !ok:
		return nil, refuse("Could not find a filter field named `%s` in the schema.", p.prefix+path)
	case !f.Nests():
		return nil, errSyntax
	case p.braces > 0:
		return nil, refuse("Could not parse the filter query: braces inside braces.")
	}
	p.blanks()
	if p.at("}") { // crashes a real server (reference, section 9)
		return nil, refuse("Filter query cannot be empty.")
	}
	before := p.prefix
	p.prefix, p.braces = before+path+".", p.braces+1
	inner, err := p.expression(1)
	p.prefix, p.braces = before, p.braces-1
	if err != nil {
		return nil, err
	}
	p.blanks()
	if !p.at("}") {
		return nil, errSyntax
	}
	p.pos++
	return &Node{Op: Document, Element: &Element{Object: f, Path: f.Name, Inner: inner}}, nil
}

// Holds reports whether a document meets the condition.
func (e *Element) Holds(doc schema.Document) bool {
	return slices.ContainsFunc(schema.Elements(doc, e.Path), func(element schema.Document) bool {
		return holds(e.Inner, e.Path+".", element)
	})
}

func holds(n *Node, prefix string, element schema.Document) bool {
	switch n.Op {
	case And:
		return holds(n.Left, prefix, element) && holds(n.Right, prefix, element)
	case Or:
		return holds(n.Left, prefix, element) || holds(n.Right, prefix, element)
	case Leaf:
		if n.Clause.Field == nil {
			return false
		}
		f := n.Clause.Field
		return n.Clause.Want.Meets(f, f.Inside(element, prefix)) != n.Clause.Negate
	}
	return false
}

// Checks reports whether the filter needs documents, because it has conditions on elements of objects.
func (n *Node) Checks() bool {
	return n != nil && (n.Op == Document || n.Left.Checks() || n.Right.Checks())
}

// Loosened returns a filter without conditions on elements of objects that matches at least the same documents; nil matches all.
func (n *Node) Loosened() *Node {
	if n == nil {
		return nil
	}
	switch n.Op {
	case Document:
		return n.Element.Inner.Loosened()
	case And:
		a, b := n.Left.Loosened(), n.Right.Loosened()
		if a == nil || b == nil {
			if a == nil {
				return b
			}
			return a
		}
		return &Node{Op: And, Left: a, Right: b}
	case Or:
		a, b := n.Left.Loosened(), n.Right.Loosened()
		if a == nil || b == nil {
			return nil
		}
		return &Node{Op: Or, Left: a, Right: b}
	case Leaf:
		if n.Clause.Negate || n.Clause.Want != nil && !schema.LookedUp(n.Clause.Want) { // an element: the document may have another one that matches, and the index may know only one of its places
			return nil
		}
	}
	return n
}
