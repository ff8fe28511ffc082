package lint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/problem"
)

var exampleRules = []Rule{
	{"examples", "Every JSON or form body of a request and of a success has an example.", func(f *family, r reporter) {
		bodies(f, func(op operation, where, _ string, mt *openapi3.MediaType) {
			if len(exampleValues(mt)) == 0 {
				op.report(r, "%s has no example", where)
			}
		})
	}},
	{"examples-fit", "Every example passes the check that the service itself makes.", func(f *family, r reporter) {
		bodies(f, func(op operation, where, mediaType string, mt *openapi3.MediaType) {
			if op.compiled == nil {
				return
			}
			for _, value := range exampleValues(mt) {
				if err := fits(op, where, mediaType, value); err != nil {
					e := problem.From(err)
					op.report(r, "%s: the example is %s %v", where, e.Code, e.Fields)
				}
			}
		})
	}},
}

// bodies calls do for every JSON and form body of a request ("request") and of a success (its status).
func bodies(f *family, do func(op operation, where, mediaType string, mt *openapi3.MediaType)) {
	f.each(func(op operation) {
		if op.RequestBody != nil && op.RequestBody.Value != nil {
			for _, name := range sortedKeys(op.RequestBody.Value.Content) {
				if structured(name) {
					do(op, "request", name, op.RequestBody.Value.Content[name])
				}
			}
		}
		for _, status := range sortedKeys(op.responses()) {
			ref := op.responses()[status]
			if status[0] != '2' || ref.Value == nil {
				continue
			}
			for _, name := range sortedKeys(ref.Value.Content) {
				if structured(name) && name != "application/x-www-form-urlencoded" {
					do(op, status, name, ref.Value.Content[name])
				}
			}
		}
	})
}

func structured(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") || mediaType == "application/x-www-form-urlencoded"
}

func exampleValues(mt *openapi3.MediaType) []any {
	var out []any
	if mt.Example != nil {
		out = append(out, mt.Example)
	}
	for _, name := range sortedKeys(mt.Examples) {
		if mt.Examples[name].Value != nil {
			out = append(out, mt.Examples[name].Value.Value)
		}
	}
	if len(out) == 0 && mt.Schema != nil && mt.Schema.Value != nil && mt.Schema.Value.Example != nil {
		out = append(out, mt.Schema.Value.Example)
	}
	return out
}

// fits sends the example through the compiled contract.
func fits(op operation, where, mediaType string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if where == "request" {
		if mediaType == "application/x-www-form-urlencoded" {
			text = []byte(formText(value))
		}
		return op.compiled.CheckBody(mediaType, text)
	}
	status, err := strconv.Atoi(where)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {mediaType}}
	for name, h := range op.responses()[where].Value.Headers {
		if h.Value == nil || !h.Value.Required {
			continue
		}
		header.Set(name, `"1"`)
		if schema := h.Value.Schema; schema != nil && schema.Value != nil && len(schema.Value.Enum) > 0 {
			header.Set(name, fmt.Sprint(schema.Value.Enum[0]))
		}
	}
	return op.compiled.CheckResponse(status, header, text)
}

func formText(value any) string {
	form := url.Values{}
	fields, _ := value.(map[string]any)
	for name, v := range fields {
		text, isText := v.(string)
		if !isText {
			raw, _ := json.Marshal(v) // a number or boolean: cannot fail
			text = string(raw)
		}
		form.Set(name, text)
	}
	return form.Encode()
}
