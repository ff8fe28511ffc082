package contract

import (
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"
)

var statusForm = regexp.MustCompile(`^([1-5][0-9][0-9]|[1-5](XX|xx)|default)$`)

// responses compiles the answers. A part that cannot be checked is left unchecked; it makes no operation unsupported.
func (b *adopter) responses(op *Operation, e *element) {
	seen := map[string]bool{}
	e.each(func(status string, at *element) {
		if strings.HasPrefix(status, "x-") {
			return
		}
		answer, err := b.deref(at)
		if err != nil || !statusForm.MatchString(status) {
			b.warn(WarnResponse, at, "write a status such as 200, 4XX or default, and define what it refers to",
				"the answer %s of %s cannot be read; it is not checked", shortened(status), b.operation)
			return
		}
		r := &responseContract{media: map[string]*mediaContract{}}
		b.misspelled(WarnResponse, answer, responseKeys)
		answer.get("content").each(func(name string, content *element) {
			if Active(name) {
				b.warn(WarnActive, content, "accept it (fountain adopt --active-content), or answer with another media type",
					"%s is active content, which browsers run; answers of it are 502 unless the operator accepts it", shortened(strings.ToLower(name)))
			}
			m, err := b.mediaType(name, content, WarnResponse)
			if err != nil {
				b.warn(WarnResponse, content, "", "answers of %s are not checked: %v", shortened(name), err)
				m = &mediaContract{name: strings.ToLower(name), kind: mediaBinary}
			}
			r.media[m.name] = m
			if (status[0] == '2' || status[0] == '3') && !seen[m.name] {
				seen[m.name] = true
				op.accepts = append(op.accepts, m.name)
			}
		})
		answer.get("headers").each(func(name string, at *element) { b.responseHeader(r, name, at) })
		op.statuses[statusKey(status)] = r
	})
}

// responseHeader adds a header of an answer. One that cannot be compiled accepts any text.
func (b *adopter) responseHeader(r *responseContract, name string, at *element) {
	if strings.EqualFold(name, "Content-Type") {
		return // OpenAPI says that it is ignored
	}
	h := &parameter{name: name, in: "header", canonical: textproto.CanonicalMIMEHeaderKey(name), style: &style{name: "simple"}}
	e, err := b.deref(at)
	if err == nil && e.get("content") == nil {
		h.required = e.get("required").is(true)
		h.style.explode = e.get("explode").is(true)
		h.schema, err = b.schema(e.get("schema"))
	}
	if err != nil || h.schema == nil {
		h.schema, _ = b.schema(&element{kind: elementMap, file: at.file, line: at.line})
	}
	if h.scalar = h.schema; h.schema != nil {
		r.headers = append(r.headers, h)
	}
}

// adoptedMediaType is mediaType with ranges.
func (r *responseContract) adoptedMediaType(header string) *mediaContract {
	m, name := r.mediaType(header)
	if m != nil {
		return m
	}
	var best *mediaContract
	for _, one := range r.media {
		if strings.Contains(one.name, "*") && covers(one.name, name) && (best == nil || len(one.name) > len(best.name)) {
			best = one
		}
	}
	return best
}

// ownResponse checks a whole answer, without the operation's variants.
func (op *Operation) ownResponse(h Head, body []byte, head bool) error {
	c := newChecker(outbound, "header")
	defer c.release()
	op.answer(c, h, body, head)
	return c.violations()
}

func (op *Operation) answer(c *checker, h Head, body []byte, head bool) {
	r := op.response(h.Status)
	if r == nil {
		c.fail(0, string(RuleResponseStatus), fmt.Sprintf("status %d is not declared", h.Status))
		return
	}
	for _, p := range r.headers {
		values := h.Header[p.canonical]
		switch {
		case len(values) == 0 && p.required:
			c.failAt(p.name, string(RuleResponseHeader), "is required")
		case len(values) > 0:
			c.oneText(p, strings.Join(values, ","))
		}
	}
	c.in, c.name = "body", ""
	if len(r.media) == 0 || bodiless(h.Status) || head || len(body) == 0 && h.Status >= http.StatusMultipleChoices {
		return
	}
	m := r.adoptedMediaType(h.Header.Get("Content-Type"))
	if m == nil {
		c.in = "header"
		c.failAt("Content-Type", string(RuleResponseMedia), "has a media type that is not declared")
		return
	}
	if m.kind == mediaJSON {
		if fault := c.read(body); fault != nil {
			c.reset("")
			c.fail(0, string(fault.rule), bodyMessages[fault.rule])
			return
		}
		if m.schema != nil {
			c.check(m.schema, 0)
		}
	}
}
