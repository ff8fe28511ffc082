package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// Bundle returns a document as one YAML text without references to other files, for tools that do not resolve them. Components of other files become
// its own. read returns a file by its path; no other file is read.
func Bundle(file string, read func(name string) ([]byte, error)) ([]byte, error) {
	text, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, location *url.URL) ([]byte, error) {
		if location.Scheme != "" || location.Host != "" || location.RawQuery != "" {
			return nil, errors.New("a contract references only files that are given with it")
		}
		return read(path.Clean(location.Path))
	}
	doc, err := loader.LoadFromDataWithPath(text, &url.URL{Path: file})
	if err != nil {
		return nil, fmt.Errorf("load contract: %w", err)
	}
	doc.InternalizeRefs(context.Background(), componentNames(doc))
	out, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write contract: %w", err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(out, &root); err != nil {
		return nil, fmt.Errorf("write contract: %w", err)
	}
	return writeDocument(&root)
}

// componentNames names the components of other files: by their own name, or prefixed with the name of the file where the document has a component of
// that name.
func componentNames(doc *openapi3.T) func(*openapi3.T, openapi3.ComponentRef) string {
	own := map[string]bool{}
	if c := doc.Components; c != nil {
		keep(own, "schemas", c.Schemas)
		keep(own, "parameters", c.Parameters)
		keep(own, "headers", c.Headers)
		keep(own, "requestBodies", c.RequestBodies)
		keep(own, "responses", c.Responses)
		keep(own, "securitySchemes", c.SecuritySchemes)
		keep(own, "examples", c.Examples)
		keep(own, "links", c.Links)
		keep(own, "callbacks", c.Callbacks)
	}
	return func(doc *openapi3.T, ref openapi3.ComponentRef) string {
		if _, component, found := strings.Cut(ref.RefString(), "#/components/"); found && !own[component] {
			if _, bare, found := strings.Cut(component, "/"); found && !strings.Contains(bare, "/") {
				return bare
			}
		}
		return openapi3.DefaultRefNameResolver(doc, ref)
	}
}

func keep[T any](to map[string]bool, kind string, components map[string]T) {
	for name := range components {
		to[kind+"/"+name] = true
	}
}

// inOrder are the root keys of a document in their usual order.
var inOrder = []string{"openapi", "info", "servers", "tags", "security", "x-fountain", "paths", "webhooks", "components"}

// writeDocument writes a document in block style, the keys of its root in their usual order.
func writeDocument(document *yaml.Node) ([]byte, error) {
	root := document
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	var pairs [][2]*yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		pairs = append(pairs, [2]*yaml.Node{root.Content[i], root.Content[i+1]})
	}
	rank := func(pair [2]*yaml.Node) int {
		if at := slices.Index(inOrder, pair[0].Value); at >= 0 {
			return at
		}
		return len(inOrder)
	}
	slices.SortStableFunc(pairs, func(a, b [2]*yaml.Node) int { return rank(a) - rank(b) })
	for i, pair := range pairs {
		root.Content[2*i], root.Content[2*i+1] = pair[0], pair[1]
	}
	block(root)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("write contract: %w", err)
	}
	return out.Bytes(), nil
}

// block removes the flow style of JSON.
func block(n *yaml.Node) {
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style = 0
	}
	if n.Kind == yaml.ScalarNode && n.Style == yaml.DoubleQuotedStyle && n.Tag == "!!str" {
		n.Style = 0 // the encoder quotes texts that would be read as another type
	}
	for _, inside := range n.Content {
		block(inside)
	}
}
