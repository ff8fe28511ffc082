package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// Origin is a place in the text of a contract. The zero Origin means that the contract does not say it and a default applies.
type Origin struct {
	File string // "kms.yaml", or the file that is referred to: "common.yaml"
	Line int    // from 1
}

// String returns "kms.yaml:123", or "" for no place.
func (o Origin) String() string {
	if o == (Origin{}) {
		return ""
	}
	return o.File + ":" + strconv.Itoa(o.Line)
}

// OriginOf returns the place in the contract of what a request is checked against, or no place where the contract does not say it. what is one of
//
//	security                     the operation's own, or the document's
//	requestBody
//	parameters.<in>.<name>       parameters.query.limit, where it is defined
//	responses                    all of them
//	responses.<status>           responses.200, responses.4XX, responses.default
//	x-fountain.<key>             x-fountain.timeout: of the innermost level that says it
//	x-fountain.rate.<name>       one limit
//
// Operation.Origin is where the operation itself begins.
func (op *Operation) OriginOf(what string) Origin { return op.origins[what] }

// nearest returns the place of what, or of the closest enclosing element that has one.
func (op *Operation) nearest(what string) Origin {
	for what != "" {
		if at, ok := op.origins[what]; ok {
			return at
		}
		what = what[:max(0, strings.LastIndexByte(what, '.'))]
	}
	return op.Origin
}

// source is a contract's text as YAML nodes, with the files that it refers to. It is needed only during compilation.
type source struct {
	fsys  fs.FS
	files map[string]*yaml.Node // nil: cannot be read
}

func newSource(fsys fs.FS) *source { return &source{fsys, map[string]*yaml.Node{}} }

// place is a node of the text; the zero place means that there is none.
type place struct {
	source *source
	file   string
	line   int
	node   *yaml.Node
}

func (s *source) root(file string) place {
	node, read := s.files[file]
	if !read {
		if text, err := fs.ReadFile(s.fsys, file); err == nil {
			var document yaml.Node
			if yaml.Unmarshal(text, &document) == nil && len(document.Content) == 1 {
				node = document.Content[0]
			}
		}
		s.files[file] = node
	}
	return place{s, file, 1, node}
}

func (p place) origin() Origin {
	if p.node == nil {
		return Origin{}
	}
	return Origin{p.file, p.line}
}

// get returns the node at a path of keys.
func (p place) get(keys ...string) place {
	for _, key := range keys {
		next := place{}
		p.each(func(name string, value place) {
			if name == key {
				next = value
			}
		})
		p = next
	}
	return p
}

// within returns the place at a path of keys, or of the last key that exists.
func (p place) within(keys ...string) Origin {
	at := p.origin()
	for _, key := range keys {
		if p = p.get(key); p.node == nil {
			break
		}
		at = p.origin()
	}
	return at
}

// each visits the members of a mapping, or the items of a sequence with an empty name. Those of an alias have the places of its anchor.
func (p place) each(visit func(name string, value place)) {
	if p.node != nil && p.node.Kind == yaml.AliasNode { // the anchor's node is never an alias
		p.node = p.node.Alias
	}
	switch {
	case p.node == nil:
	case p.node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(p.node.Content); i += 2 {
			key := p.node.Content[i]
			visit(key.Value, place{p.source, p.file, key.Line, p.node.Content[i+1]})
		}
	case p.node.Kind == yaml.SequenceNode:
		for _, item := range p.node.Content {
			visit("", place{p.source, p.file, item.Line, item})
		}
	}
}

// text returns the text of a scalar.
func (p place) text() string {
	if p.node == nil {
		return ""
	}
	return p.node.Value
}

// resolve follows a reference.
func (p place) resolve() place {
	ref := p.get("$ref").text()
	file, pointer, found := strings.Cut(ref, "#/")
	if !found {
		return p
	}
	if file == "" {
		file = p.file
	}
	return p.source.root(file).get(strings.Split(pointer, "/")...)
}

// origins records the places that OriginOf knows.
func origins(root place, path, method string) map[string]Origin {
	out := map[string]Origin{}
	put := func(what string, at place) {
		if _, have := out[what]; !have && at.node != nil {
			out[what] = at.origin()
		}
	}
	item := root.get("paths", path)
	operation := item.get(strings.ToLower(method))
	put("security", operation.get("security"))
	put("security", root.get("security"))
	put("requestBody", operation.get("requestBody"))
	put("responses", operation.get("responses"))
	operation.get("responses").each(func(status string, at place) { put("responses."+status, at) })
	for _, level := range []place{operation, item, root} {
		put(extension, level.get(extension))
		level.get(extension).each(func(key string, at place) {
			if key != "rate" {
				put(extension+"."+key, at)
				return
			}
			at.each(func(_ string, limit place) { put(extension+".rate."+limit.get("name").text(), limit) })
		})
	}
	for _, level := range []place{operation, item} {
		level.get("parameters").each(func(_ string, at place) {
			p := at.resolve()
			put("parameters."+p.get("in").text()+"."+p.get("name").text(), p)
		})
	}
	return out
}

// aboutError is an error with the element of the operation that it is about, as a key of OriginOf.
type aboutError struct {
	what string
	error
}

func (e *aboutError) Unwrap() error { return e.error }

func about(what string, err error) error {
	if err == nil {
		return nil
	}
	return &aboutError{what, err}
}

// placedError is an error with its place.
type placedError struct {
	origin Origin
	error
}

func (e *placedError) Unwrap() error { return e.error }

// placed adds a place to an error that has none.
func placed(origin *openapi3.Origin, err error) error {
	if already := (*placedError)(nil); err == nil || origin == nil || origin.Key == nil || errors.As(err, &already) {
		return err
	}
	return &placedError{Origin{origin.Key.File, origin.Key.Line}, err}
}

// located splits an error into its parts, each prefixed with its place, or with fallback when the place is unknown.
func located(err error, context string, fallback Origin, find func(what string) Origin) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, one := range joined.Unwrap() {
			out = append(out, located(one, context, fallback, find)...)
		}
		return out
	}
	at := fallback
	var exact *placedError
	var roughly *aboutError
	switch {
	case errors.As(err, &exact):
		at = exact.origin
	case errors.As(err, &roughly):
		at = find(roughly.what)
	}
	return []error{fmt.Errorf("%s: %s%w", at, context, err)}
}

// lineOf finds the line number in an error of a YAML parser.
var lineOf = regexp.MustCompile(`line (\d+)`)

// loadFault adds the place to an error of loading or validating a word's file: that of the unresolved reference or the invalid element.
func loadFault(root place, word string, err error) error {
	var all openapi3.MultiError
	if errors.As(err, &all) {
		var out []error
		for _, one := range all {
			out = append(out, loadFault(root, word, one))
		}
		return errors.Join(out...)
	}
	at := Origin{word + ".yaml", 1}
	if element := elementOf(root, err); element.node != nil {
		at = element.origin()
	} else if found := lineOf.FindStringSubmatch(err.Error()); found != nil {
		at.Line, _ = strconv.Atoi(found[1])
	} else {
		root.references(func(ref string, reference place) {
			if strings.Contains(err.Error(), ref) {
				at = reference.origin()
			}
		})
	}
	if origin := modelOrigin(err); origin != nil && origin.Key != nil && origin.Key.File != "" {
		at = Origin{origin.Key.File, origin.Key.Line}
	}
	return fmt.Errorf("%s: %w", at, err)
}

// elementOf returns the element that the contexts of a validation error describe.
func elementOf(root place, err error) place {
	var section *openapi3.SectionValidationError
	var path *openapi3.PathValidationError
	var operation *openapi3.OperationValidationError
	var component *openapi3.ComponentValidationError
	at := place{}
	if errors.As(err, &section) {
		at = root.get(section.Section)
	}
	if errors.As(err, &path) {
		at = root.get("paths", path.Path)
		if errors.As(err, &operation) {
			at = at.get(strings.ToLower(operation.Method))
		}
	}
	if errors.As(err, &component) {
		root.get("components").each(func(_ string, bucket place) {
			if found := bucket.get(component.Name); found.node != nil {
				at = found
			}
		})
	}
	return at
}

// modelOrigin returns the innermost origin in an error of kin-openapi. Some thirty error types have the field, and no method returns it.
func modelOrigin(err error) *openapi3.Origin {
	if err == nil {
		return nil
	}
	if inner := modelOrigin(errors.Unwrap(err)); inner != nil {
		return inner
	}
	v := reflect.ValueOf(err)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	if field := v.Elem().FieldByName("Origin"); field.IsValid() {
		origin, _ := field.Interface().(*openapi3.Origin)
		return origin
	}
	return nil
}

// references visits every $ref within p.
func (p place) references(visit func(ref string, at place)) {
	p.each(func(name string, value place) {
		if name == "$ref" {
			visit(value.text(), value)
			return
		}
		value.references(visit)
	})
}
