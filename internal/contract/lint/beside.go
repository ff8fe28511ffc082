package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// besideAccepted are static segments that a parameter in the same position could match, by contract. They are accepted: a resource with such a name
// cannot be reached by it.
var besideAccepted = map[string][]string{
	"search":   {"/collections/{}/documents/sync", "/collections/{}/documents/export", "/collections/{}/documents/delete-by-query"},
	"sequence": {"/scopes/{}/changes", "/scopes/{}/search", "/scopes/{}/export", "/scopes/{}/import", "/scopes/{}/reindex"},
}

var besideRules = []Rule{
	{"segment-beside-parameter", "No segment of a path is a value of a parameter in the same place: what is named so could not be reached.", func(f *family, r reporter) {
		for _, d := range f.documents {
			fixed := map[string][]string{} // static segments in a position, keyed by the path before it
			d.each(func(op operation) {
				before := ""
				for segment := range strings.SplitSeq(strings.Trim(op.path, "/"), "/") {
					if !strings.Contains(segment, "{") {
						fixed[before] = append(fixed[before], segment)
					}
					before += "/" + withoutNames(segment)
				}
			})
			d.each(func(op operation) { besideParameters(op, fixed, r) })
		}
	}},
}

func besideParameters(op operation, fixed map[string][]string, r reporter) {
	before := ""
	for segment := range strings.SplitSeq(strings.Trim(op.path, "/"), "/") {
		if name := placeholder.FindStringSubmatch(segment); name != nil {
			p := op.parameter(openapi3.ParameterInPath, name[1])
			for _, text := range fixed[before] {
				if p != nil && takes(p.Schema, text) && !slices.Contains(besideAccepted[op.document.word], before+"/"+text) {
					op.report(r, "{%s} can be %s, which is another path: %s/%s", name[1], text, before, text)
				}
			}
		}
		before += "/" + withoutNames(segment)
	}
}

// withoutNames returns a segment with its parameter names replaced, so that segments that differ only in them are equal.
func withoutNames(segment string) string {
	if strings.Contains(segment, "{") {
		return "{}"
	}
	return segment
}

// takes reports whether a text is valid for a schema.
func takes(ref *openapi3.SchemaRef, text string) bool {
	if ref == nil || ref.Value == nil {
		return true
	}
	s := ref.Value
	if s.Pattern != "" {
		pattern, err := regexp.Compile(s.Pattern)
		if err == nil && !pattern.MatchString(text) {
			return false
		}
	}
	if s.Type.Is("integer") {
		return strings.Trim(text, "0123456789") == ""
	}
	for _, v := range s.Enum {
		if v == text {
			return true
		}
	}
	return len(s.Enum) == 0 && uint64(len(text)) >= s.MinLength && (s.MaxLength == nil || uint64(len(text)) <= *s.MaxLength)
}
