package lint

import (
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

type schemaModel = openapi3.Schema

var shapeRules = []Rule{
	{"etag", "A resource that can be read and changed carries ETag, and its changes take If-Match and can answer 412, unless x-unconditional says why nothing can be compared.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.method != http.MethodPut && op.method != http.MethodPatch || op.item.Get == nil {
				return
			}
			if why, _ := op.Extensions["x-unconditional"].(string); len(why) > 0 {
				return
			}
			match := op.parameter("header", "If-Match")
			if match == nil {
				op.report(r, "a change takes If-Match")
			} else if op.responses()["412"] == nil || match.Required && op.responses()["428"] == nil {
				op.report(r, "a change declares 412, and 428 when If-Match is required")
			}
			if !hasHeader(op.item.Get, "200", "ETag") {
				op.report(r, "%s of the same path must answer with ETag", op.item.Get.OperationID)
			}
		})
	}},
	{"list", "A list takes limit and cursor and answers items and nextCursor, unless maxItems says that it always is one short page or it is a feed with after and position.", func(f *family, r reporter) {
		f.each(func(op operation) {
			schema := answerSchema(op)
			if op.method != http.MethodGet || !strings.HasPrefix(op.OperationID, "list") {
				return
			}
			if schema == nil || schema.Properties["items"] == nil || !schema.Properties["items"].Value.Type.Is("array") {
				op.report(r, "a list answers an object with items")
				return
			}
			if schema.Properties["items"].Value.MaxItems != nil && op.parameter("query", "limit") == nil && op.parameter("query", "cursor") == nil {
				return
			}
			if op.parameter("query", "limit") != nil && op.parameter("query", "after") != nil && schema.Properties["position"] != nil {
				return // a feed, whose position the reader stores, has no end that a nextCursor could mark
			}
			if op.parameter("query", "limit") == nil || op.parameter("query", "cursor") == nil {
				op.report(r, "a list takes limit and cursor")
			}
			if schema.Properties["nextCursor"] == nil {
				op.report(r, "a list answers nextCursor")
			}
			for _, total := range []string{"total", "totalCount", "count"} {
				if schema.Properties[total] != nil {
					op.report(r, "a list has no %s", total)
				}
			}
		})
	}},
	{"created", "A creating POST answers 201 with what was made, or 202.", func(f *family, r reporter) {
		f.each(func(op operation) {
			made := op.responses()["201"]
			if op.method == http.MethodPost && strings.HasPrefix(op.OperationID, "create") && made == nil && op.responses()["202"] == nil {
				op.report(r, "declares no 201")
			}
		})
	}},
	{"object-answers", "A JSON answer is an object, so that it can grow.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if s := answerSchema(op); s != nil && !isObject(s) {
				op.report(r, "answers something else than an object")
			}
		})
	}},
}

// answerSchema returns the JSON schema of the operation's first successful answer.
func answerSchema(op operation) *openapi3.Schema {
	for _, status := range []string{"200", "201", "202"} {
		ref := op.responses()[status]
		if ref == nil || ref.Value == nil {
			continue
		}
		if mt := ref.Value.Content["application/json"]; mt != nil && mt.Schema != nil {
			return mt.Schema.Value
		}
	}
	return nil
}

func isObject(s *openapi3.Schema) bool {
	if s.Type.Is("object") {
		return true
	}
	parts := append(append(openapi3.SchemaRefs{}, s.OneOf...), append(s.AnyOf, s.AllOf...)...)
	for _, part := range parts {
		if part.Value == nil || !isObject(part.Value) {
			return false
		}
	}
	return len(parts) > 0
}

func hasHeader(o *openapi3.Operation, status, name string) bool {
	if o.Responses == nil {
		return false
	}
	ref := o.Responses.Value(status)
	return ref != nil && ref.Value != nil && ref.Value.Headers[name] != nil
}
