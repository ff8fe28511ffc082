package lint

import (
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/contract"
)

// boundedFormats are string formats of bounded length.
var boundedFormats = []string{"date", "date-time", "uuid", "ipv4", "ipv6"}

// request calls do for every schema of a request, except those marked as arbitrary JSON.
func (f *family) request(do func(visit)) {
	f.schemas(func(v visit) {
		if v.request && v.schema.Extensions["x-free-form"] != true {
			do(v)
		}
	})
}

var boundRules = []Rule{
	{"typed", "Every schema of a request has a type, is composed of schemas that have one, or has x-free-form.", func(f *family, r reporter) {
		f.request(func(v visit) {
			s := v.schema
			if len(s.Type.Slice()) == 0 && len(s.OneOf) == 0 && len(s.AnyOf) == 0 && len(s.AllOf) == 0 {
				v.report(r, "has no type")
			}
		})
	}},
	{"closed-objects", "An object of a request has additionalProperties: false, or is a map with a schema and maxProperties.", func(f *family, r reporter) {
		f.request(func(v visit) {
			s := v.schema
			if !s.Type.Is("object") {
				return
			}
			closed := s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
			if !closed && s.AdditionalProperties.Schema == nil {
				v.report(r, "is open")
			}
			if s.AdditionalProperties.Schema != nil && s.MaxProps == nil {
				v.report(r, "is a map without maxProperties")
			}
		})
	}},
	{"max-length", "A string of a request has maxLength, unless an enum or its format bounds it.", func(f *family, r reporter) {
		f.request(func(v visit) {
			s := v.schema
			if s.Type.Is("string") && s.MaxLength == nil && len(s.Enum) == 0 && !slices.Contains(boundedFormats, s.Format) && s.Format != "binary" {
				v.report(r, "has no maxLength")
			}
		})
	}},
	{"max-items", "An array of a request has maxItems.", func(f *family, r reporter) {
		f.request(func(v visit) {
			if v.schema.Type.Is("array") && v.schema.MaxItems == nil {
				v.report(r, "has no maxItems")
			}
		})
	}},
	{"integer-format", "An integer has the format int32 or int64.", func(f *family, r reporter) {
		f.schemas(func(v visit) {
			if v.schema.Type.Is("integer") && v.schema.Format != "int32" && v.schema.Format != "int64" {
				v.report(r, "is an integer without a format")
			}
		})
	}},
	{"anchored-pattern", "A pattern is anchored with ^ and $.", func(f *family, r reporter) {
		f.schemas(func(v visit) {
			if v.schema.Pattern != "" && !anchored(v.schema.Pattern) {
				v.report(r, "pattern %s is not anchored at both ends", v.schema.Pattern)
			}
		})
	}},
	{"path-segment", "A text in a path has a pattern that matches neither . nor ..: clients and servers resolve such segments to another path.", func(f *family, r reporter) {
		f.each(func(op operation) {
			for _, p := range op.parameters() {
				if p.In != "path" || p.Schema == nil || p.Schema.Value == nil || !p.Schema.Value.Type.Is("string") || len(p.Schema.Value.Enum) > 0 {
					continue
				}
				pattern, err := regexp.Compile(p.Schema.Value.Pattern)
				if err == nil && (pattern.MatchString(".") || pattern.MatchString("..")) {
					op.report(r, "%s may be a dot segment", p.Name)
				}
			}
		})
	}},
	{"known-format", "A string's format is in the closed list.", func(f *family, r reporter) {
		f.schemas(func(v visit) {
			if v.schema.Type.Is("string") && v.schema.Format != "" && !slices.Contains(contract.Formats(), v.schema.Format) {
				v.report(r, "format %s", v.schema.Format)
			}
		})
	}},
	{"all-of-closed", "allOf is not combined with additionalProperties: false, which refuses everything.", func(f *family, r reporter) {
		f.schemas(func(v visit) {
			for _, part := range append(openapi3.SchemaRefs{{Value: v.schema}}, v.schema.AllOf...) {
				if len(v.schema.AllOf) == 0 || part.Value == nil {
					continue
				}
				if has := part.Value.AdditionalProperties.Has; has != nil && !*has {
					v.report(r, "combines allOf with additionalProperties: false")
				}
			}
		})
	}},
	{"one-of-discriminator", "oneOf and anyOf of objects in a request have a discriminator with a mapping.", func(f *family, r reporter) {
		f.request(func(v visit) {
			alternatives := slices.Concat(v.schema.OneOf, v.schema.AnyOf)
			objects := slices.ContainsFunc(alternatives, func(ref *openapi3.SchemaRef) bool { return ref.Value != nil && isObject(ref.Value) })
			if objects && (v.schema.Discriminator == nil || len(v.schema.Discriminator.Mapping) == 0) {
				v.report(r, "has alternatives without a discriminator")
			}
		})
	}},
}

// anchored reports whether every match of pattern spans from the beginning to the end.
func anchored(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	return begins(re) && ends(re)
}

func begins(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpConcat, syntax.OpCapture:
		return begins(re.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !begins(sub) })
	}
	return false
}

func ends(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEndText:
		return true
	case syntax.OpConcat, syntax.OpCapture:
		return ends(re.Sub[len(re.Sub)-1])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !ends(sub) })
	}
	return false
}
