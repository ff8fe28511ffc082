package clientgen

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// goName returns the Go name that the generator uses, except for a first character that Go does not allow.
var goName = codegen.NameNormalizers[codegen.NameNormalizerFunctionToCamelCaseWithInitialisms]

// preparation rewrites what the generator cannot handle in a document. The rewritten document describes the same
// requests and responses.
type preparation struct {
	renamed    map[string]string // new component names by their names in the document
	components map[string]string // current component names by their Go names
	notes      []Note
}

func newPreparation() *preparation { return &preparation{renamed: map[string]string{}} }

// rename renames the components whose Go names collide with something else in the client. It reports whether there were
// any.
func (p *preparation) rename(err error) bool {
	var names []string
	var clash *clashError
	if errors.As(err, &clash) {
		names = clash.names
	} else if found := duplicate.FindStringSubmatch(err.Error()); found != nil {
		names = found[1:]
	}
	some := false
	for _, name := range names {
		component, found := p.components[name]
		if !found { // a type inside a component: Address_Kind
			name, _, _ = strings.Cut(name, "_")
			if component, found = p.components[name]; !found {
				continue
			}
		}
		some = true
		for was, is := range p.renamed {
			if is == component {
				component = was
			}
		}
		next := component + "Schema"
		for n := 2; p.components[goName(next)] != ""; n++ {
			next = component + "Schema" + strconv.Itoa(n)
		}
		p.renamed[component] = next
	}
	return some
}

func (p *preparation) prepare(doc *openapi3.T) {
	p.notes = nil
	p.operationIDs(doc)
	p.numbers(doc)
	p.renameComponents(doc)
	p.components = map[string]string{}
	if doc.Components != nil {
		for name := range doc.Components.Schemas {
			p.components[goName(name)] = name
		}
	}
	walk(doc, func(pointer []string, ref *openapi3.SchemaRef) {
		if ref.Ref == "" {
			p.compose(pointer, ref.Value)
			fields(ref.Value)
		}
	})
	p.enumerations(doc)
	p.parameters(doc)
}

// numbers renames components whose names begin with a digit. For some nested types of such components the generator
// forgets the prefix that it adds to the name.
func (p *preparation) numbers(doc *openapi3.T) {
	if doc.Components == nil {
		return
	}
	for name := range doc.Components.Schemas {
		if '0' <= name[0] && name[0] <= '9' && p.renamed[name] == "" && doc.Components.Schemas["N"+name] == nil {
			p.renamed[name] = "N" + name
		}
	}
}

// parameters turns parameters that can be one of several scalar types into strings, because the generator has no name
// for their type. Each of the types is sent as text anyway.
func (p *preparation) parameters(doc *openapi3.T) {
	w := walker{named: func(pointer []string, parameter *openapi3.Parameter) {
		ref := parameter.Schema
		if ref == nil || ref.Ref != "" || ref.Value == nil {
			return
		}
		among := append(slices.Clone(ref.Value.OneOf), ref.Value.AnyOf...)
		scalar := func(one *openapi3.SchemaRef) bool {
			return one.Value != nil && len(one.Value.Type.Slice()) == 1 && !one.Value.Type.Is("object") && !one.Value.Type.Is("array")
		}
		if len(among) == 0 || !slices.ContainsFunc(among, scalar) || slices.ContainsFunc(among, func(one *openapi3.SchemaRef) bool { return !scalar(one) }) {
			return
		}
		ref.Value = &openapi3.Schema{Type: &openapi3.Types{"string"}, Description: ref.Value.Description, Extensions: ref.Value.Extensions}
		p.note(pointer, "the parameter %s is a text in the client: it can be of several types", parameter.Name)
	}}
	w.document(doc)
}

// operationIDs makes the Go name of each operation unique.
func (p *preparation) operationIDs(doc *openapi3.T) {
	used := map[string]bool{}
	for _, path := range doc.Paths.InMatchingOrder() {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths.Value(path).Operations())) {
			op := doc.Paths.Value(path).GetOperation(method)
			id := op.OperationID
			for n := 2; id != "" && used[goName(op.OperationID)]; n++ {
				op.OperationID = id + strconv.Itoa(n)
			}
			if used[goName(op.OperationID)] = true; op.OperationID != id {
				p.note([]string{"paths", path, strings.ToLower(method)}, "%s is %s in the client, which has another operation of that name", id, goName(op.OperationID))
			}
		}
	}
}

// renameComponents renames schemas wherever they are referenced.
func (p *preparation) renameComponents(doc *openapi3.T) {
	if len(p.renamed) == 0 || doc.Components == nil {
		return
	}
	const schemas = "#/components/schemas/"
	to := map[string]string{}
	for _, was := range slices.Sorted(maps.Keys(p.renamed)) {
		is := p.renamed[was]
		to[schemas+was] = schemas + is
		if is != "N"+was {
			p.note([]string{"components", "schemas", was}, "%s is %s in the client, which has something else of that name", was, goName(is))
		}
	}
	walk(doc, func(_ []string, ref *openapi3.SchemaRef) {
		if d := ref.Value.Discriminator; d != nil && ref.Ref == "" {
			renameMapping(d, append(slices.Clone(ref.Value.OneOf), ref.Value.AnyOf...), to)
		}
	})
	walk(doc, func(_ []string, ref *openapi3.SchemaRef) {
		if is := to[ref.Ref]; is != "" {
			ref.Ref = is
		}
	})
	for was, is := range p.renamed {
		if schema := doc.Components.Schemas[was]; schema != nil {
			delete(doc.Components.Schemas, was)
			doc.Components.Schemas[is] = schema
		}
	}
}

// renameMapping keeps the values of a discriminator that are names of schemas, although the schemas have new names.
func renameMapping(d *openapi3.Discriminator, among openapi3.SchemaRefs, to map[string]string) {
	const schemas = "#/components/schemas/"
	said := map[string]bool{}
	for value, ref := range d.Mapping {
		for was, is := range to {
			if ref.Ref == was || schemas+ref.Ref == was {
				ref.Ref = is
				d.Mapping[value] = ref
				said[was] = true
			}
		}
	}
	for _, one := range among {
		is := to[one.Ref]
		if is == "" || said[one.Ref] || len(d.Mapping) > 0 {
			continue
		}
		// Without a mapping, the name of each schema is its value. An explicit mapping replaces that for all of them.
		d.Mapping = map[string]openapi3.MappingRef{}
		for _, each := range among {
			if name, found := strings.CutPrefix(each.Ref, schemas); found {
				ref := each.Ref
				if to[ref] != "" {
					ref = to[ref]
				}
				d.Mapping[name] = openapi3.MappingRef{Ref: ref}
			}
		}
		return
	}
}

// fields renames properties of a schema that have the same Go name.
func fields(s *openapi3.Schema) {
	used := map[string]bool{}
	if s.AdditionalProperties.Has != nil || s.AdditionalProperties.Schema != nil { // the generator adds methods and a field
		used["Get"], used["Set"], used["AdditionalProperties"] = true, true, true
	}
	if len(s.OneOf)+len(s.AnyOf) > 0 {
		used["Discriminator"], used["ValueByDiscriminator"] = true, true
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if name == "" || goName(name) == "" {
			continue
		}
		field := goName(name)
		for n := 2; used[field]; n++ {
			field = goName(name) + strconv.Itoa(n)
		}
		if used[field] = true; field != goName(name) {
			extend(s.Properties[name], "x-go-name", field)
		}
	}
}

// extend sets an extension of a schema where the schema is used.
func extend(ref *openapi3.SchemaRef, name string, value any) {
	to := &ref.Extensions
	if ref.Ref == "" {
		to = &ref.Value.Extensions
	}
	*to = maps.Clone(*to)
	if *to == nil {
		*to = map[string]any{}
	}
	(*to)[name] = value
}

// enumerations renames the types of nested enumerations that collide with a component: Address.kind and AddressKind.
func (p *preparation) enumerations(doc *openapi3.T) {
	if doc.Components == nil {
		return
	}
	for _, component := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		p.nested(goName(component), doc.Components.Schemas[component].Value, []string{"components", "schemas", component}, map[*openapi3.Schema]bool{})
	}
}

// nested visits the schemas inside a schema as the generator does, which names their types by the path to them.
func (p *preparation) nested(name string, s *openapi3.Schema, pointer []string, seen map[*openapi3.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	defer delete(seen, s)
	for _, part := range s.AllOf { // merged with referenced parts, which are therefore nested too
		p.nested(name, part.Value, pointer, seen)
	}
	if s.Items != nil && s.Items.Ref == "" {
		p.enumeration(name, s.Items, pointer, seen)
	}
	for _, property := range slices.Sorted(maps.Keys(s.Properties)) {
		if ref := s.Properties[property]; ref.Ref == "" {
			p.enumeration(name+goName(property), ref, pointer, seen)
		}
	}
	for i, one := range append(slices.Clone(s.OneOf), s.AnyOf...) {
		if one.Ref == "" {
			p.enumeration(name+strconv.Itoa(i), one, pointer, seen)
		}
	}
}

func (p *preparation) enumeration(name string, ref *openapi3.SchemaRef, pointer []string, seen map[*openapi3.Schema]bool) {
	s := ref.Value
	if s == nil {
		return
	}
	if other, taken := p.components[name]; taken && (len(s.Enum) > 0 || s.Const != nil) && s.Extensions["x-go-type-name"] == nil {
		next := name + "Value"
		for n := 2; p.components[next] != ""; n++ {
			next = name + "Value" + strconv.Itoa(n)
		}
		extend(ref, "x-go-type-name", next)
		p.note(pointer, "an enumeration of it is %s in the client, for %s is the component %s", next, name, other)
		return
	}
	p.nested(name, s, pointer, seen)
}

func (p *preparation) note(pointer []string, format string, args ...any) {
	n := Note{pointer, fmt.Sprintf(format, args...)}
	for _, told := range p.notes {
		if told.Cause == n.Cause && slices.Equal(told.Pointer, n.Pointer) {
			return
		}
	}
	p.notes = append(p.notes, n)
}
