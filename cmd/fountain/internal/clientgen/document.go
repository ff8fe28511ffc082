package clientgen

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// goExtensions lists the extensions with which a document adds Go code of its own: types and packages that are not
// available, and tags.
var goExtensions = []string{"x-go-type", "x-go-type-import", "x-go-type-name", "x-oapi-codegen-extra-tags", "x-oapi-codegen-only-honour-go-name"}

// document is an OpenAPI document from which operations can be removed.
type document struct {
	text       []byte // the document as given, without the foreign extensions
	root       *yaml.Node
	operations []operation // in the order of the document
	notes      []Note
}

// operation identifies an operation by path and method: "/notes", "get".
type operation struct{ path, method string }

func (o operation) pointer() []string { return []string{"paths", o.path, o.method} }

func (o operation) String() string { return strings.ToUpper(o.method) + " " + o.path }

// methods lists the methods of a path item.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func readDocument(text []byte) (*document, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("load document: not a mapping")
	}
	d := &document{text: text, root: file.Content[0]}
	if d.strip(d.root, nil); len(d.notes) > 0 {
		written, err := yaml.Marshal(d.root)
		if err != nil {
			return nil, fmt.Errorf("write document: %w", err)
		}
		d.text = written
	}
	each(value(d.root, "paths"), func(path string, item *yaml.Node) {
		each(item, func(method string, _ *yaml.Node) {
			if slices.Contains(methods, method) {
				d.operations = append(d.operations, operation{path, method})
			}
		})
	})
	return d, nil
}

// strip removes the foreign extensions. It adds one note for each component or operation.
func (d *document) strip(n *yaml.Node, way []string) {
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			d.strip(child, way)
		}
		return
	}
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, child := n.Content[i], n.Content[i+1]
		if slices.Contains(goExtensions, key.Value) {
			at := slices.Clone(way[:min(len(way), 3)])
			if len(d.notes) == 0 || !slices.Equal(d.notes[len(d.notes)-1].Pointer, at) {
				d.notes = append(d.notes, Note{at, key.Value + " is not followed: the types of the client are made of the schemas"})
			}
			continue
		}
		kept = append(kept, key, child)
		d.strip(child, append(way[:len(way):len(way)], key.Value))
	}
	n.Content = kept
}

// only returns the document with the given operations and the components that they need. So a faulty component affects
// only the operations that need it.
func (d *document) only(kept []operation) ([]byte, error) {
	wanted := map[operation]bool{}
	for _, o := range kept {
		wanted[o] = true
	}
	paths := mapping()
	each(value(d.root, "paths"), func(path string, item *yaml.Node) {
		some := mapping()
		each(item, func(key string, child *yaml.Node) {
			switch {
			case !slices.Contains(methods, key) && key != "servers":
				add(some, key, child)
			case wanted[operation{path, key}]:
				add(some, key, without(child, "callbacks"))
			}
		})
		if slices.ContainsFunc(methods, func(method string) bool { return value(some, method) != nil }) {
			add(paths, path, some)
		}
	})
	root := mapping()
	for _, key := range []string{"openapi", "info", "servers", "security"} {
		if child := value(d.root, key); child != nil {
			add(root, key, child)
		}
	}
	add(root, "paths", paths)
	add(root, "components", d.needed(paths))
	text, err := yaml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	return text, nil
}

// needed returns the components that are reachable from n, and the security schemes.
func (d *document) needed(n *yaml.Node) *yaml.Node {
	components := value(d.root, "components")
	reached := map[*yaml.Node]bool{}
	var reach func(n *yaml.Node)
	reach = func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		for i, child := range n.Content {
			if child.Kind != yaml.ScalarNode {
				reach(child)
				continue
			}
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				continue
			}
			// References, and the values of a discriminator's mapping: a reference or a bare name.
			kind, name, found := strings.Cut(strings.TrimPrefix(child.Value, "#/components/"), "/")
			if !strings.HasPrefix(child.Value, "#/components/") || !found {
				kind, name = "schemas", child.Value
			}
			name, _, _ = strings.Cut(name, "/")
			if to := value(value(components, kind), unescaped(name)); to != nil && !reached[to] {
				reached[to] = true
				reach(to)
			}
		}
	}
	reach(n)
	out := mapping()
	each(components, func(kind string, all *yaml.Node) {
		some := mapping()
		each(all, func(name string, one *yaml.Node) {
			if reached[one] || kind == "securitySchemes" {
				add(some, name, one)
			}
		})
		add(out, kind, some)
	})
	return out
}

// unescaped decodes a part of a JSON pointer in a URL.
func unescaped(part string) string {
	if text, err := url.PathUnescape(part); err == nil {
		part = text
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func add(m *yaml.Node, key string, child *yaml.Node) {
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, child)
}

// each visits the members of a mapping. It does nothing for any other node.
func each(m *yaml.Node, visit func(key string, child *yaml.Node)) {
	if m != nil && m.Kind == yaml.AliasNode {
		m = m.Alias
	}
	if m == nil || m.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		visit(m.Content[i].Value, m.Content[i+1])
	}
}

// value returns a member of a mapping, or nil.
func value(m *yaml.Node, name string) (found *yaml.Node) {
	each(m, func(key string, child *yaml.Node) {
		if key == name {
			found = child
		}
	})
	return found
}

// without returns a mapping without one of its members.
func without(m *yaml.Node, name string) *yaml.Node {
	if value(m, name) == nil {
		return m
	}
	out := mapping()
	each(m, func(key string, child *yaml.Node) {
		if key != name {
			add(out, key, child)
		}
	})
	return out
}
