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
	{"problem-examples", "Every problem has examples, each of a code with the response's status, with the code's type, title and status.", func(f *family, r reporter) {
		f.each(func(op operation) {
			for _, status := range sortedKeys(op.responses()) {
				ref := op.responses()[status]
				if !isErrorStatus(status) || ref.Value == nil || ref.Value.Content[problem.MediaType] == nil {
					continue
				}
				values := exampleValues(ref.Value.Content[problem.MediaType])
				if len(values) == 0 {
					op.report(r, "%s has no example", status)
				}
				for _, value := range values {
					if wrong := wrongProblem(op, status, value); wrong != "" {
						op.report(r, "%s: %s", status, wrong)
					}
				}
			}
		})
	}},
}

// isErrorStatus reports whether the answers under a key of responses are errors.
func isErrorStatus(status string) bool {
	return status == "default" || status[0] == '4' || status[0] == '5'
}

// wrongProblem returns why an example cannot be the problem that is answered under a key of responses, or "" when it can.
func wrongProblem(op operation, under string, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "the example is not JSON"
	}
	var said problem.Document
	if err := json.Unmarshal(text, &said); err != nil {
		return "the example is not a problem"
	}
	status := strconv.Itoa(said.Code.Status())
	switch {
	case !said.Code.Known():
		return "the example has a code that there is not"
	case under != "default" && under != status:
		return fmt.Sprintf("the example is of %s, whose status is %s", said.Code, status)
	case said.Status != said.Code.Status() || said.Title != said.Code.Title() || said.Type != said.Code.TypeURI():
		return fmt.Sprintf("type, title or status of the example are not those of %s", said.Code)
	}
	if op.compiled == nil || under == "default" && op.responses()[status] != nil { // default does not apply to a declared status
		return ""
	}
	if err := op.compiled.CheckResponse(said.Status, http.Header{"Content-Type": {problem.MediaType}}, text); err != nil {
		return fmt.Sprintf("the example is %v", problem.From(err).Fields)
	}
	return ""
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

// fits validates the example with the compiled contract.
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
