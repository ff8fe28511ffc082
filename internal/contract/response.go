package contract

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/problem"
)

// responseContract is one declared answer.
type responseContract struct {
	headers []*parameter
	media   map[string]*mediaContract
}

func (b *builder) responses(op *Operation, o *openapi3.Operation) error {
	op.responses = map[string]*responseContract{}
	if o.Responses == nil {
		return nil
	}
	seen := map[string]bool{}
	for status, ref := range o.Responses.Map() {
		if ref.Value == nil {
			return fmt.Errorf("response %s does not resolve", status)
		}
		r := &responseContract{}
		var err error
		if r.media, err = b.media(ref.Value.Content); err != nil {
			return fmt.Errorf("response %s: %w", status, err)
		}
		for name, h := range ref.Value.Headers {
			if h.Value == nil || h.Value.Schema == nil {
				return fmt.Errorf("response %s: header %s needs a schema", status, name)
			}
			s, err := b.schema(h.Value.Schema)
			if err != nil {
				return fmt.Errorf("response %s: header %s: %w", status, name, err)
			}
			if !scalarOnly(s) {
				return fmt.Errorf("response %s: header %s must be a scalar", status, name)
			}
			r.headers = append(r.headers, &parameter{name: name, in: "header", required: h.Value.Required, schema: s, scalar: s})
		}
		op.responses[strings.ToUpper(status)] = r
		for name := range r.media {
			if (status[0] == '2' || status[0] == '3') && !seen[name] {
				seen[name] = true
				op.accepts = append(op.accepts, name)
			}
		}
	}
	return nil
}

// response finds the declaration that covers a status: itself, its class, or default. What succeeds must be declared:
// default covers only 4xx and 5xx.
func (op *Operation) response(status int) *responseContract {
	if r := op.responses[strconv.Itoa(status)]; r != nil {
		return r
	}
	if r := op.responses[strconv.Itoa(status/100)+"XX"]; r != nil {
		return r
	}
	if status >= 400 {
		return op.responses["DEFAULT"]
	}
	return nil
}

// Statuses returns the statuses the contract declares by number, for tests that count what was seen.
func (op *Operation) Statuses() []int {
	var out []int
	for s := range op.responses {
		if n, err := strconv.Atoi(s); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// CheckResponse checks an answer: its status and media type are declared, required headers are there, the body fits. The
// error is bad_upstream (502) with the violations; they name places and rules, never values.
func (op *Operation) CheckResponse(status int, h http.Header, body []byte) error {
	return op.checkResponse(status, h, body, false)
}

// CheckResponseHead is CheckResponse for the answer to HEAD, which has no body.
func (op *Operation) CheckResponseHead(status int, h http.Header) error {
	return op.checkResponse(status, h, nil, true)
}

func (op *Operation) checkResponse(status int, h http.Header, body []byte, head bool) error {
	c := &checker{in: "header", direction: outbound}
	r := op.response(status)
	root := &place{}
	if r == nil {
		c.fail(root, string(RuleResponseStatus), "status %d is not declared", status)
		return c.violations()
	}
	for _, p := range r.headers {
		at := &place{parent: root, key: p.name}
		values := h.Values(p.name)
		switch {
		case len(values) == 0 && p.required:
			c.fail(at, string(RuleResponseHeader), "is required")
		case len(values) == 1:
			c.scalarText(p.scalar, values[0], at)
		case len(values) > 1 && !strings.EqualFold(p.name, "WWW-Authenticate"):
			c.fail(at, string(RuleRepeated), "is sent twice")
		}
	}
	c.responseBody(r, status, h, body, head)
	return c.violations()
}

func (c *checker) responseBody(r *responseContract, status int, h http.Header, body []byte, head bool) {
	root := &place{}
	c.in = "body"
	if len(r.media) == 0 || status == http.StatusNoContent || status == http.StatusNotModified {
		if len(body) > 0 {
			c.fail(root, string(RuleResponseBody), "must be empty")
		}
		return
	}
	name, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	m := r.media[name]
	if err != nil || m == nil {
		c.fail(root, string(RuleResponseMedia), "has a media type that is not declared")
		return
	}
	if head {
		return
	}
	if err := c.body(m, body, false); err != nil {
		c.found = append(c.found, problem.From(err).Fields...)
	}
}

func (c *checker) violations() error {
	return c.problem(problem.BadUpstream, "The service's answer does not fit the contract.")
}
