package clientgen

import (
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// walk visits every schema of a document for which the client may have a type, each one once. A referenced schema is
// visited where it is defined. pointer is the path to the component or operation.
func walk(doc *openapi3.T, visit func(pointer []string, ref *openapi3.SchemaRef)) {
	walker{visit: visit}.document(doc)
}

func (w walker) document(doc *openapi3.T) {
	if c := doc.Components; c != nil {
		for name, ref := range sorted(c.Schemas) {
			w.schema([]string{"components", "schemas", name}, ref)
		}
		for name, ref := range sorted(c.Parameters) {
			w.parameter([]string{"components", "parameters", name}, ref)
		}
		for name, ref := range sorted(c.RequestBodies) {
			w.body([]string{"components", "requestBodies", name}, ref)
		}
		for name, ref := range sorted(c.Responses) {
			w.response([]string{"components", "responses", name}, ref)
		}
		for name, ref := range sorted(c.Headers) {
			w.header([]string{"components", "headers", name}, ref)
		}
	}
	if doc.Paths == nil {
		return
	}
	for path, item := range sorted(doc.Paths.Map()) {
		for _, ref := range item.Parameters {
			w.parameter([]string{"paths", path}, ref)
		}
		for method, op := range sorted(item.Operations()) {
			pointer := []string{"paths", path, strings.ToLower(method)}
			for _, ref := range op.Parameters {
				w.parameter(pointer, ref)
			}
			w.body(pointer, op.RequestBody)
			if op.Responses != nil {
				for _, ref := range sorted(op.Responses.Map()) {
					w.response(pointer, ref)
				}
			}
		}
	}
}

// sorted ranges over a map in the order of its keys.
func sorted[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// walker visits schemas, parameters, or both.
type walker struct {
	visit func(pointer []string, ref *openapi3.SchemaRef)
	named func(pointer []string, parameter *openapi3.Parameter)
}

func (w walker) parameter(pointer []string, ref *openapi3.ParameterRef) {
	if ref == nil || ref.Ref != "" || ref.Value == nil {
		return
	}
	if w.named != nil {
		w.named(pointer, ref.Value)
	}
	w.schema(pointer, ref.Value.Schema)
	w.content(pointer, ref.Value.Content)
}

func (w walker) header(pointer []string, ref *openapi3.HeaderRef) {
	if ref != nil && ref.Ref == "" && ref.Value != nil {
		w.schema(pointer, ref.Value.Schema)
	}
}

func (w walker) body(pointer []string, ref *openapi3.RequestBodyRef) {
	if ref != nil && ref.Ref == "" && ref.Value != nil {
		w.content(pointer, ref.Value.Content)
	}
}

func (w walker) response(pointer []string, ref *openapi3.ResponseRef) {
	if ref == nil || ref.Ref != "" || ref.Value == nil {
		return
	}
	w.content(pointer, ref.Value.Content)
	for _, header := range sorted(ref.Value.Headers) {
		w.header(pointer, header)
	}
}

func (w walker) content(pointer []string, content openapi3.Content) {
	for _, media := range sorted(content) {
		if media != nil {
			w.schema(pointer, media.Schema)
		}
	}
}

func (w walker) schema(pointer []string, ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil || w.visit == nil {
		return
	}
	if w.visit(pointer, ref); ref.Ref != "" {
		return
	}
	s := ref.Value
	for _, list := range []openapi3.SchemaRefs{s.AllOf, s.OneOf, s.AnyOf} {
		for _, one := range list {
			w.schema(pointer, one)
		}
	}
	w.schema(pointer, s.Items)
	w.schema(pointer, s.AdditionalProperties.Schema)
	for _, property := range sorted(s.Properties) {
		w.schema(pointer, property)
	}
}
