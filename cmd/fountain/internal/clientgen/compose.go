package clientgen

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// compose prepares a schema with allOf. The generator refuses parts that differ in things that do not affect the Go
// type: defaults, formats, and readOnly. The parts are flattened to one level and get the same values for these. If
// their types differ, the schema becomes any value.
func (p *preparation) compose(pointer []string, s *openapi3.Schema) {
	if len(s.AllOf) == 0 {
		return
	}
	parts := flattened(s.AllOf, map[*openapi3.Schema]bool{s: true})
	own := *s
	own.AllOf = nil
	common := append(slices.Clone(parts), &openapi3.SchemaRef{Value: &own})
	if len(common) < 3 && !structural(s) && len(parts) == len(s.AllOf) || !differ(common) {
		return
	}
	types, fits := typesOf(common)
	if !fits {
		*s = openapi3.Schema{Description: s.Description, Nullable: s.Nullable, ReadOnly: s.ReadOnly, WriteOnly: s.WriteOnly, Extensions: s.Extensions}
		p.note(pointer, "a schema whose allOf has parts of different types becomes any value in the client")
		return
	}
	has := func(is func(*openapi3.Schema) bool) bool {
		return slices.ContainsFunc(common, func(ref *openapi3.SchemaRef) bool { return is(ref.Value) })
	}
	level := &levelled{types: types,
		readOnly:  has(func(s *openapi3.Schema) bool { return s.ReadOnly }),
		writeOnly: has(func(s *openapi3.Schema) bool { return s.WriteOnly })}
	for _, part := range common {
		if level.format == "" {
			level.format = part.Value.Format
		}
	}
	s.AllOf = nil
	for _, part := range parts {
		one := *part.Value
		level.set(&one)
		s.AllOf = append(s.AllOf, &openapi3.SchemaRef{Ref: part.Ref, Extensions: part.Extensions, Value: &one})
	}
	level.set(s)
}

// flattened returns the parts of an allOf, with nested allOf replaced by their parts.
func flattened(allOf openapi3.SchemaRefs, seen map[*openapi3.Schema]bool) openapi3.SchemaRefs {
	var out openapi3.SchemaRefs
	for _, part := range allOf {
		if part == nil || part.Value == nil || seen[part.Value] {
			continue
		}
		seen[part.Value] = true
		out = append(out, flattened(part.Value.AllOf, seen)...)
		if len(part.Value.AllOf) == 0 {
			out = append(out, part)
			continue
		}
		own := *part.Value
		own.AllOf = nil
		out = append(out, &openapi3.SchemaRef{Value: &own, Extensions: part.Extensions})
	}
	return out
}

// structural reports whether a schema describes an object in addition to its allOf.
func structural(s *openapi3.Schema) bool {
	return len(s.Properties) > 0 || len(s.Required) > 0 || s.AdditionalProperties.Has != nil || s.AdditionalProperties.Schema != nil
}

// differ reports whether the parts contain something that the generator accepts only if it is the same in all of them.
func differ(parts openapi3.SchemaRefs) bool {
	maps, discriminators := 0, 0
	for _, part := range parts {
		s := part.Value
		if s.Format != "" || s.Default != nil || s.UniqueItems || s.ReadOnly || s.WriteOnly || s.AllowEmptyValue || s.ExclusiveMin != (openapi3.ExclusiveBound{}) ||
			s.ExclusiveMax != (openapi3.ExclusiveBound{}) {
			return true
		}
		if s.AdditionalProperties.Schema != nil {
			maps++
		}
		if s.Discriminator != nil {
			discriminators++
		}
	}
	types, fits := typesOf(parts)
	return !fits || maps > 1 || discriminators > 1 || types != nil && slices.ContainsFunc(parts, func(part *openapi3.SchemaRef) bool {
		return part.Value.Type != nil && !slices.Equal(part.Value.Type.Slice(), types.Slice())
	})
}

// typesOf returns the types that fit all parts, nil for any type, and whether there are such types.
func typesOf(parts openapi3.SchemaRefs) (types *openapi3.Types, fit bool) {
	var common []string
	null := false
	for _, part := range parts {
		var said []string
		for _, one := range part.Value.Type.Slice() {
			if null = null || one == "null"; one != "null" {
				said = append(said, one)
			}
		}
		switch {
		case len(said) == 0 || slices.Equal(said, common):
		case common == nil:
			common = said
		case slices.Equal(common, []string{"number"}) && slices.Equal(said, []string{"integer"}):
			common = said
		case slices.Equal(common, []string{"integer"}) && slices.Equal(said, []string{"number"}):
		default:
			return nil, false
		}
	}
	if common == nil {
		return nil, true
	}
	if null {
		common = append(slices.Clone(common), "null")
	}
	out := openapi3.Types(common)
	return &out, true
}

// levelled holds the values that all parts of an allOf get.
type levelled struct {
	types               *openapi3.Types
	format              string
	readOnly, writeOnly bool
	mapped, told        bool // a part has had additionalProperties with a schema; a discriminator
}

func (l *levelled) set(s *openapi3.Schema) {
	s.Type, s.Format, s.ReadOnly, s.WriteOnly = l.types, l.format, l.readOnly, l.writeOnly
	s.Default, s.UniqueItems, s.AllowEmptyValue = nil, false, false
	s.ExclusiveMin, s.ExclusiveMax = openapi3.ExclusiveBound{}, openapi3.ExclusiveBound{}
	if s.AdditionalProperties.Schema != nil {
		if l.mapped {
			s.AdditionalProperties = openapi3.AdditionalProperties{}
		}
		l.mapped = true
	}
	if s.Discriminator != nil {
		if l.told {
			s.Discriminator = nil
		}
		l.told = true
	}
}
