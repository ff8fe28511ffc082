package contract

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
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
	op.statuses = map[int]*responseContract{}
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
			return about("responses."+status, fmt.Errorf("response %s: %w", status, err))
		}
		for name, h := range ref.Value.Headers {
			if h.Value == nil || h.Value.Schema == nil {
				return about("responses."+status, fmt.Errorf("response %s: header %s needs a schema", status, name))
			}
			s, err := b.schema(h.Value.Schema)
			if err != nil {
				return about("responses."+status, fmt.Errorf("response %s: header %s: %w", status, name, err))
			}
			if !scalarOnly(s) {
				return about("responses."+status, fmt.Errorf("response %s: header %s must be a scalar", status, name))
			}
			r.headers = append(r.headers, (&parameter{name: name, in: "header", required: h.Value.Required, schema: s, scalar: s}).finish())
		}
		op.statuses[statusKey(status)] = r
		for name := range r.media {
			if (status[0] == '2' || status[0] == '3') && !seen[name] {
				seen[name] = true
				op.accepts = append(op.accepts, name)
			}
		}
	}
	return nil
}

// anyStatus is the key of the default answer.
const anyStatus = 0

// statusKey returns the key of a declared answer: its status, 2 for 2XX, or anyStatus. The validation of the document admits nothing else.
func statusKey(status string) int {
	if strings.EqualFold(status, "default") {
		return anyStatus
	}
	n, err := strconv.Atoi(status)
	if err != nil {
		return int(status[0] - '0')
	}
	return n
}

// response finds the declaration for a status: the status itself, its class, or default. Default applies to 4xx and 5xx only: successful answers must
// be declared.
func (op *Operation) response(status int) *responseContract {
	if r := op.statuses[status]; r != nil {
		return r
	}
	if r := op.statuses[status/100]; r != nil {
		return r
	}
	if status >= 400 {
		return op.statuses[anyStatus]
	}
	return nil
}

// Declares reports whether the contract declares a status by its number.
func (op *Operation) Declares(status int) bool { return status >= 100 && op.statuses[status] != nil }

// Statuses returns the statuses that the contract declares by number, for tests that check that each was observed.
func (op *Operation) Statuses() []int {
	var out []int
	for status := range op.statuses {
		if status >= 100 {
			out = append(out, status)
		}
	}
	return out
}

// Head is the status and header of an answer.
type Head struct {
	Status int
	Header http.Header
	Empty  bool // it has no body: by its status, or because it answers HEAD
}

// CheckEnvelope checks whether an answer may be forwarded at all, whatever its body: status and media type are declared, there is no content coding
// and no undeclared cookie, and a 5xx is a problem document. The error is bad_upstream (502) with the violations, which name places and rules, never
// values. For an adopted document, which was not written for this check, only a content coding is a violation, because nothing else could be checked
// then. CheckResponse reports the rest.
func (op *Operation) CheckEnvelope(h Head) error {
	c := newChecker(outbound, "header")
	defer c.release()
	switch {
	case !op.adopted:
		op.envelope(c, h)
	case h.Status < http.StatusOK || h.Status > 599: // 101 would switch the protocol of the connection
		c.fail(0, string(RuleResponseStatus), fmt.Sprintf("status %d is that of no answer", h.Status))
	default:
		c.plainCoding(h)
	}
	return c.violations()
}

// plainCoding checks that an answer has no content coding.
func (c *checker) plainCoding(h Head) bool {
	if coding := h.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return c.failAt("Content-Encoding", string(RuleContentEncoding), "is not requested")
	}
	return true
}

// envelope returns the declaration of the answer, or nil after a violation.
func (op *Operation) envelope(c *checker, h Head) *responseContract {
	r := op.response(h.Status)
	if r == nil || h.Status < http.StatusOK {
		c.fail(0, string(RuleResponseStatus), fmt.Sprintf("status %d is not declared", h.Status))
		return nil
	}
	ok := c.plainCoding(h)
	if len(h.Header.Values("Set-Cookie")) > 0 && !r.declares("Set-Cookie") {
		ok = c.failAt("Set-Cookie", string(RuleUndeclared), "is not declared")
	}
	m, name := r.mediaType(h.Header.Get("Content-Type"))
	switch {
	case h.Empty && (h.Status == http.StatusNoContent || h.Status == http.StatusNotModified || h.Header.Get("Content-Type") == ""):
	case h.Status >= http.StatusInternalServerError && name != problem.MediaType:
		ok = c.failAt("Content-Type", string(RuleResponseError), fmt.Sprintf("status %d must have a problem document", h.Status))
	case len(r.media) > 0 && m == nil:
		ok = c.failAt("Content-Type", string(RuleResponseMedia), "has a media type that is not declared")
	}
	if !ok {
		return nil
	}
	return r
}

// mediaType returns the declared media type for a Content-Type, or nil, and the type's name without parameters.
func (r *responseContract) mediaType(header string) (*mediaContract, string) {
	if m := r.media[header]; m != nil { // fast path for the usual spelling
		return m, m.name
	}
	name, _, err := mime.ParseMediaType(header)
	if err != nil {
		return nil, name
	}
	return r.media[name], name
}

// declares reports whether the answer's declaration lists a header.
func (r *responseContract) declares(header string) bool {
	return slices.ContainsFunc(r.headers, func(p *parameter) bool { return strings.EqualFold(p.name, header) })
}

// DeclaresResponseHeader reports whether the contract lists a header for the answers of a status.
func (op *Operation) DeclaresResponseHeader(status int, name string) bool {
	r := op.response(status)
	return r != nil && r.declares(name)
}

// CheckResponse checks a whole answer: its envelope, the required headers, and the body. The error is that of CheckEnvelope.
func (op *Operation) CheckResponse(status int, h http.Header, body []byte) error {
	return op.checkResponse(Head{Status: status, Header: h, Empty: len(body) == 0 && bodiless(status)}, body, false)
}

// CheckResponseHead is CheckResponse for the answer to HEAD, which has no body.
func (op *Operation) CheckResponseHead(status int, h http.Header) error {
	return op.checkResponse(Head{Status: status, Header: h, Empty: true}, nil, true)
}

// bodiless reports whether answers with this status never have a body (RFC 9110, section 6.4.1).
func bodiless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

func (op *Operation) checkResponse(h Head, body []byte, head bool) error {
	c := newChecker(outbound, "header")
	defer c.release()
	if op.adopted {
		if !c.plainCoding(h) {
			return c.violations()
		}
		return op.either(func(one *Operation) error { return one.ownResponse(h, body, head) })
	}
	r := op.envelope(c, h)
	if r == nil {
		return c.violations()
	}
	for _, p := range r.headers {
		values := h.Header[p.canonical]
		switch {
		case len(values) == 0 && p.required:
			c.failAt(p.name, string(RuleResponseHeader), "is required")
		case len(values) == 1:
			c.scalarText(p, values[0])
		case len(values) > 1 && p.canonical != "Www-Authenticate":
			c.failAt(p.name, string(RuleRepeated), "is sent twice")
		}
	}
	c.responseBody(r, h, body, head)
	return c.violations()
}

func (c *checker) responseBody(r *responseContract, h Head, body []byte, head bool) {
	c.in, c.name = "body", ""
	if len(r.media) == 0 || bodiless(h.Status) {
		if len(body) > 0 {
			c.reset("")
			c.fail(0, string(RuleResponseBody), "must be empty")
		}
		return
	}
	if head {
		return
	}
	m, _ := r.mediaType(h.Header.Get("Content-Type")) // the envelope has checked it
	if err := c.body(m, body, false); err != nil {
		c.found = append(c.found, problem.From(err).Fields...)
	}
}

func (c *checker) violations() error {
	return c.problem(problem.BadUpstream, "The service's answer does not match the contract.")
}
