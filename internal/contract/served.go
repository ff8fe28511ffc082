package contract

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// servedOAuth is the name of the security scheme in the documents of adopted services that the gateway serves.
const servedOAuth = "oauth"

// Served returns the document of an adopted service for its clients: one file, with the mounted address as its server, and with the family's tokens
// in place of its own security schemes. c is the result of Adopt.
func Served(a Adoption, c *Contract) ([]byte, error) {
	text := a.Files[a.File]
	if len(a.Files) > 1 {
		if bundled, err := oneFile(a); err == nil { // otherwise, as when it would be too much work, its references cannot be resolved, but all else is there
			text = bundled
		}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	root := mapping(&document)
	if root == nil {
		return nil, fmt.Errorf("read document: not a mapping")
	}
	put(root, "servers", []map[string]string{{"url": cmp.Or(c.BasePath, "/")}})
	if components := mapping(get(root, "components")); components != nil {
		put(components, "securitySchemes", schemesOf(c))
	} else {
		put(root, "components", map[string]any{"securitySchemes": schemesOf(c)})
	}
	put(root, "security", []map[string][]string{{servedOAuth: {}}})
	byPlace := map[string]*Operation{}
	for _, op := range c.Operations {
		byPlace[op.Method+" "+op.template] = op
	}
	if paths := mapping(get(root, "paths")); paths != nil {
		for i := 0; i+1 < len(paths.Content); i += 2 {
			servedPath(paths.Content[i].Value, mapping(paths.Content[i+1]), byPlace)
		}
	}
	return writeDocument(&document)
}

// oneFile returns the document with the content of its files.
func oneFile(a Adoption) ([]byte, error) {
	if !bundles(a) {
		return joined(a)
	}
	return Bundle(a.File, func(name string) ([]byte, error) {
		if text, given := a.Files[name]; given {
			return text, nil
		}
		return nil, fs.ErrNotExist
	})
}

// Places returns a function that returns the place, such as pets.yaml:12, of a JSON pointer in a foreign document, or of the longest part of the
// pointer that exists.
func Places(a Adoption) (func(pointer []string) string, error) {
	file, err := readElements(a.File, a.Files[a.File])
	if err != nil {
		return nil, err
	}
	return func(pointer []string) string {
		at := file.root
		for _, name := range pointer {
			next := at.get(name)
			if next == nil {
				break
			}
			at = next
		}
		return at.place()
	}, nil
}

// servedPath writes the security requirements into the operations of a path.
func servedPath(template string, item *yaml.Node, byPlace map[string]*Operation) {
	if item == nil {
		return
	}
	remove(item, "servers")
	for i := 0; i+1 < len(item.Content); i += 2 {
		op, o := byPlace[strings.ToUpper(item.Content[i].Value)+" "+template], mapping(item.Content[i+1])
		if op == nil || o == nil {
			continue
		}
		remove(o, "servers")
		security := []map[string][]string{}
		for _, r := range op.Requirements {
			if !r.OTP { // the gateway redeems no codes for members
				security = append(security, map[string][]string{servedOAuth: slices.Clone(r.Scopes)})
			}
		}
		put(o, "security", security)
		if id := get(o, "operationId"); id == nil || id.Value != op.ID {
			put(o, "operationId", op.ID) // the document has none, or one twice
		}
	}
}

// schemesOf returns the security schemes for an adopted service's callers.
func schemesOf(c *Contract) map[string]any {
	return map[string]any{servedOAuth: map[string]any{
		"type": "oauth2", "description": "An access token of the kms for this service alone (resource=" + c.Word + "), as a bearer token.",
		"flows": map[string]any{"clientCredentials": map[string]any{"tokenUrl": "/kms/v1/oauth2/token", "scopes": maps.Clone(c.Scopes)}},
	}}
}

// mapping returns the mapping that a node is, refers to, or contains as a document; nil when there is none.
func mapping(n *yaml.Node) *yaml.Node {
	for n != nil {
		switch {
		case n.Kind == yaml.MappingNode:
			return n
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
			n = n.Content[0]
		default:
			return nil
		}
	}
	return nil
}

func get(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func remove(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = slices.Delete(m.Content, i, i+2)
			return
		}
	}
}

// put sets the value of a key.
func put(m *yaml.Node, key string, value any) {
	var n yaml.Node
	if err := n.Encode(value); err != nil {
		panic(err) // it consists of maps, lists and texts
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = &n
			return
		}
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, &n)
}
