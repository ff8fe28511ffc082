package contract

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inside lists the types of the members of OpenAPI's objects: another object by its name, "*name" for a map or list of these. Members without
// references are not listed.
var inside = map[string]map[string]string{
	"document": {"paths": "*pathItems", "webhooks": "*pathItems", "components": "components"},
	"components": {"schemas": "*schemas", "parameters": "*parameters", "headers": "*headers", "responses": "*responses", "requestBodies": "*requestBodies",
		"examples": "*examples", "links": "*links", "callbacks": "*callbacks", "pathItems": "*pathItems", "securitySchemes": "*securitySchemes"},
	"pathItems": {"parameters": "*parameters", "get": "operation", "put": "operation", "post": "operation", "delete": "operation", "options": "operation",
		"head": "operation", "patch": "operation", "trace": "operation"},
	"operation":     {"parameters": "*parameters", "requestBody": "requestBodies", "responses": "*responses", "callbacks": "*callbacks"},
	"parameters":    {"schema": "schemas", "content": "*media", "examples": "*examples"},
	"headers":       {"schema": "schemas", "content": "*media", "examples": "*examples"},
	"requestBodies": {"content": "*media"},
	"media":         {"schema": "schemas", "examples": "*examples", "encoding": "*encoding"},
	"encoding":      {"headers": "*headers"},
	"responses":     {"content": "*media", "headers": "*headers", "links": "*links"},
	"schemas": {"properties": "*schemas", "patternProperties": "*schemas", "$defs": "*schemas", "definitions": "*schemas", "dependentSchemas": "*schemas",
		"items": "schemas", "prefixItems": "*schemas", "allOf": "*schemas", "oneOf": "*schemas", "anyOf": "*schemas", "not": "schemas", "if": "schemas",
		"then": "schemas", "else": "schemas", "additionalProperties": "schemas", "contains": "schemas", "propertyNames": "schemas",
		"unevaluatedItems": "schemas", "unevaluatedProperties": "schemas", "discriminator": "discriminator"},
	"discriminator": {"mapping": "*mapping"},
}

// referable are the kinds of objects that may be replaced by a reference.
var referable = []string{
	"pathItems", "parameters", "headers", "requestBodies", "responses", "schemas", "examples", "links", "callbacks", "securitySchemes",
}

var (
	errManyPlaces = errors.New("joining the files is too much work")
	notInAName    = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

// joiner merges the files of a document into one: an object that is referred to in another file becomes a component once, even if it refers to
// itself.
type joiner struct {
	adoption   Adoption
	files      map[string]*yaml.Node
	components *yaml.Node
	names      map[goal]string // of the components
	taken      map[string]bool // kind and name of a component
	left       []component     // not copied yet
	places     int             // how many nodes were copied
}

// component is a component whose place is reserved and whose content is not copied yet.
type component struct {
	place *yaml.Node
	goal
}

// goal is an object of a kind in another file that is referred to.
type goal struct{ kind, file, pointer string }

// joined returns the document as one file. It is for documents whose files refer to each other too often for Bundle.
func joined(a Adoption) ([]byte, error) {
	j := &joiner{
		adoption: a, files: map[string]*yaml.Node{}, names: map[goal]string{}, taken: map[string]bool{},
		components: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"},
	}
	for name, text := range a.Files {
		var file yaml.Node
		if err := yaml.Unmarshal(text, &file); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		j.files[name] = &file
	}
	root := mapping(j.files[a.File])
	if root == nil {
		return nil, fmt.Errorf("read %s: not a mapping", a.File)
	}
	j.begin(mapping(get(root, "components")))
	made := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		if key.Value == "components" {
			continue
		}
		value, err := j.copy(root.Content[i+1], a.File, inside["document"][key.Value], 0)
		if err != nil {
			return nil, err
		}
		made.Content = append(made.Content, plainKey(key), value)
	}
	if err := errors.Join(j.own(root), j.others()); err != nil {
		return nil, err
	}
	made.Content = append(made.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "components"}, j.components)
	text, err := yaml.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	return text, nil
}

// begin reserves the document's own components, so that their names are taken.
func (j *joiner) begin(own *yaml.Node) {
	if own == nil {
		return
	}
	for i := 0; i+1 < len(own.Content); i += 2 {
		kind, all := own.Content[i].Value, mapping(own.Content[i+1])
		if all == nil {
			continue
		}
		places := j.kind(kind)
		for k := 0; k+1 < len(all.Content); k += 2 {
			j.taken[kind+"/"+all.Content[k].Value] = true
			places.Content = append(places.Content, plainKey(all.Content[k]), &yaml.Node{})
		}
	}
}

// plainKey returns a key without its anchor, which would otherwise occur twice.
func plainKey(key *yaml.Node) *yaml.Node {
	for key.Kind == yaml.AliasNode {
		key = key.Alias
	}
	plain := *key
	plain.Anchor = ""
	return &plain
}

// own copies the document's own components. Those of other files follow.
func (j *joiner) own(root *yaml.Node) error {
	components := mapping(get(root, "components"))
	if components == nil {
		return nil
	}
	for i := 0; i+1 < len(components.Content); i += 2 {
		kind, all := components.Content[i].Value, mapping(components.Content[i+1])
		if all == nil {
			continue
		}
		for k := 0; k+1 < len(all.Content); k += 2 {
			value, err := j.copy(all.Content[k+1], j.adoption.File, strings.TrimPrefix(inside["components"][kind], "*"), 0)
			if err != nil {
				return err
			}
			*mapping(get(j.components, kind)).Content[k+1] = *value
		}
	}
	return nil
}

// others copies the components of other files, and those that they refer to.
func (j *joiner) others() error {
	for len(j.left) > 0 {
		one := j.left[len(j.left)-1]
		j.left = j.left[:len(j.left)-1]
		made, err := j.copy(j.at(one.file, one.pointer), one.file, one.kind, 0)
		if err != nil {
			return err
		}
		*one.place = *made
	}
	return nil
}

// copy returns a copy of n for the merged document. kind is the type of n, as in inside.
func (j *joiner) copy(n *yaml.Node, file, kind string, depth int) (*yaml.Node, error) {
	if j.places++; j.places > maxElements || depth > 2*maxElementDepth {
		return nil, errManyPlaces
	}
	if n.Kind == yaml.AliasNode {
		return j.copy(n.Alias, file, kind, depth+1)
	}
	made := *n
	made.Anchor, made.Content = "", make([]*yaml.Node, 0, len(n.Content))
	if kind == "mapping" && n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, "#/.") {
		j.refer(&made, file, "schemas")
		return &made, nil
	}
	of, plural := strings.CutPrefix(kind, "*")
	if n.Kind == yaml.MappingNode && !plural && slices.Contains(referable, of) {
		if ref := get(n, "$ref"); ref != nil && ref.Kind == yaml.ScalarNode {
			return j.reference(n, file, of, depth)
		}
	}
	for i, child := range n.Content {
		next := ""
		switch {
		case n.Kind == yaml.MappingNode && i%2 == 0:
			made.Content = append(made.Content, plainKey(child))
			continue
		case n.Kind == yaml.MappingNode && n.Content[i-1].Tag == "!!merge":
			next = kind
		case plural, n.Kind == yaml.SequenceNode && of == "schemas": // items of old schemas may be a list
			next = of
		case n.Kind == yaml.MappingNode && of == "callbacks":
			next = "pathItems"
		case n.Kind == yaml.MappingNode:
			next = inside[of][n.Content[i-1].Value]
		}
		value, err := j.copy(child, file, next, depth+1)
		if err != nil {
			return nil, err
		}
		made.Content = append(made.Content, value)
	}
	return &made, nil
}

// reference copies an object that refers to another one. A path item is inserted in place, as OpenAPI 3.0 has no component for it.
func (j *joiner) reference(n *yaml.Node, file, kind string, depth int) (*yaml.Node, error) {
	ref := get(n, "$ref")
	if kind == "pathItems" {
		to, pointer, found := j.find(file, ref.Value)
		if at := j.at(to, pointer); found && at != nil {
			return j.copy(at, to, kind, depth+1)
		}
	}
	made := *n
	made.Anchor, made.Content = "", slices.Clone(n.Content)
	for i := 0; i+1 < len(made.Content); i += 2 {
		if made.Content[i].Value != "$ref" {
			continue
		}
		one := *made.Content[i+1]
		j.refer(&one, file, kind)
		made.Content[i+1] = &one
	}
	return &made, nil
}

// refer rewrites a reference into another file to one within the document. An unresolvable one is not changed.
func (j *joiner) refer(ref *yaml.Node, file, kind string) {
	to, pointer, found := j.find(file, ref.Value)
	switch {
	case !found || j.at(to, pointer) == nil:
		return
	case to == j.adoption.File:
		ref.Value = "#" + pointer
		return
	}
	t := goal{kind, to, pointer}
	name, known := j.names[t]
	if !known {
		name = j.freeName(t)
		j.names[t], j.taken[kind+"/"+name] = name, true
		place := &yaml.Node{}
		all := j.kind(kind)
		all.Content = append(all.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, place)
		j.left = append(j.left, component{place, t})
	}
	ref.Value = "#/components/" + kind + "/" + name
}

// find returns the file and the pointer of a reference.
func (j *joiner) find(from, reference string) (file, pointer string, found bool) {
	name, pointer, _ := strings.Cut(reference, "#")
	if file = from; name != "" {
		file = path.Join(path.Dir(from), name)
	}
	return file, pointer, j.files[file] != nil && (pointer == "" || pointer[0] == '/')
}

// at returns the node at a pointer in a file, or nil.
func (j *joiner) at(file, pointer string) *yaml.Node {
	at := j.files[file]
	if at == nil {
		return nil
	}
	if at.Kind == yaml.DocumentNode && len(at.Content) == 1 {
		at = at.Content[0]
	}
	for _, key := range strings.Split(pointer, "/")[1:] {
		if at = step(mappingOrList(at), key); at == nil {
			return nil
		}
	}
	return at
}

// kind returns the components of a kind.
func (j *joiner) kind(kind string) *yaml.Node {
	if all := mapping(get(j.components, kind)); all != nil {
		return all
	}
	all := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	j.components.Content = append(j.components.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: kind}, all)
	return all
}

// freeName returns the name of the goal in its file, or a similar one that is not taken.
func (j *joiner) freeName(t goal) string {
	name := path.Base(t.pointer)
	if t.pointer == "" {
		name = strings.TrimSuffix(path.Base(t.file), path.Ext(t.file))
	}
	if name = strings.Trim(notInAName.ReplaceAllString(name, "_"), "_."); name == "" {
		name = t.kind
	}
	free := name
	for n := 2; j.taken[t.kind+"/"+free]; n++ {
		free = name + strconv.Itoa(n)
	}
	return free
}
