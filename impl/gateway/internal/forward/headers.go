package forward

import (
	"net/http"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/requestid"
)

// everyService are the request headers that every service gets as the client sent them. In addition it gets the header parameters and cookies that its
// contract declares, and the headers that the gateway sets. No others are forwarded: an unchecked header may have a meaning to a service, or to a proxy in
// front of it.
var everyService = []string{"Accept", "Accept-Language", "Authorization", "Content-Type", traceparent, tracestate, "User-Agent"}

// gatewayHeaders are the request headers that only the gateway sets, whatever the client sends or the contract declares.
var gatewayHeaders = map[string]bool{
	"Accept-Encoding": true, "Cookie": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Request-Id": true,
	httpserver.TimeoutHeader: true, mountPrefix: true, "X-Otp": true,
}

const traceparent, tracestate = "Traceparent", "Tracestate"

// forwardedHeaders returns the names of the request headers that an operation's service gets as the client sent them, without duplicates.
func (f *Forwarder) forwardedHeaders(op *contract.Operation) []string {
	return contract.Kept(op, f, func() []string { return withDeclared(op.RequestHeaders()) })
}

// withDeclared returns everyService and the declared headers, without those that the gateway sets.
func withDeclared(declared []string) []string {
	names := append(slices.Clone(everyService), declared...)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return gatewayHeaders[name] })
}

// usualFields is the capacity for the fields of a typical request.
const usualFields = 16

// requestFields returns the header for the service: the client's fields with one of the names, and those that the gateway sets.
func requestFields(x *httpserver.Exchange, names []string) []upstream.Field {
	in, op := x.Request.Header, x.Operation
	traced := x.TraceHeader()
	out := make([]upstream.Field, 0, usualFields)
	for _, name := range names {
		switch {
		case withheld(op, name):
			continue
		case name == "Content-Type" && x.Body == nil && x.Stream == nil:
			continue
		case traced != nil && (name == traceparent || name == tracestate): // then the gateway's own span is the parent, not the client's
			continue
		}
		for _, value := range in[name] {
			out = append(out, upstream.Field{Name: name, Value: value})
		}
	}
	if pairs := declaredCookies(x.Request, op); pairs != "" {
		out = append(out, upstream.Field{Name: "Cookie", Value: pairs})
	}
	if op.Mount != "" {
		out = append(out, upstream.Field{Name: mountPrefix, Value: op.Mount})
	}
	return append(append(out,
		upstream.Field{Name: "Accept-Encoding", Value: "identity"}, // the answer is checked, so it must not be compressed
		upstream.Field{Name: "X-Forwarded-For", Value: x.Client()},
		upstream.Field{Name: "X-Forwarded-Host", Value: x.Request.Host},
		upstream.Field{Name: "X-Forwarded-Proto", Value: x.Scheme},
		upstream.Field{Name: "X-Request-Id", Value: requestid.From(x.Request.Context())},
	), upstream.FieldsOf(traced)...)
}

// declaredCookies returns the Cookie header with the cookies that the contract declares. Cookies of the family's pages are only for the family's operations,
// whatever an adopted service declares.
func declaredCookies(r *http.Request, op *contract.Operation) string {
	var pairs []string
	for _, name := range op.Cookies() {
		if op.Mount != "" && familyCookie(name) {
			continue
		}
		for _, cookie := range r.CookiesNamed(name) {
			pairs = append(pairs, cookie.Name+"="+cookie.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// passedBack are the response headers that every answer may have (RFC 9110, 9111, 8594, 9745). In addition clients get the headers that the contract declares
// for the answer's status. Others are dropped, since nothing has checked them.
var passedBack = map[string]bool{
	"Cache-Control": true, "Content-Disposition": true, "Content-Language": true, "Content-Type": true, "Deprecation": true, "Etag": true, "Expires": true,
	"Last-Modified": true, "Retry-After": true, "Sunset": true, "Vary": true, "Www-Authenticate": true,
}

// ours are the response headers that only the gateway sets, and those about the connection (RFC 9110, section 7.6.1; RFC 9112), whatever a contract declares.
var ours = map[string]bool{
	"X-Request-Id": true, "X-Content-Type-Options": true, "Content-Length": true, "Date": true,
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authentication-Info": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Via": true, "Age": true, "Alt-Svc": true,
}

// limits are the headers by which the gateway reports its own limits. Every contract of the family declares them, so a service could otherwise overwrite them.
var limits = map[string]bool{"Ratelimit": true, "Ratelimit-Policy": true}

// responseHeader copies the permitted headers of a service's answer. The gateway's Cache-Control takes precedence, unless the contract declares that the service
// sets it.
func (f *Forwarder) responseHeader(x *httpserver.Exchange, res *upstream.Response) {
	to, op, status := x.Writer.Header(), x.Operation, res.Status
	_, decided := to["Cache-Control"]
	for name, values := range res.Header {
		if ours[name] || !passedBack[name] && !op.DeclaresResponseHeader(status, name) || op.Mount != "" && dropped(name) {
			continue
		}
		if to[name] != nil && limits[name] {
			continue
		}
		if name == "Cache-Control" && decided && !op.DeclaresResponseHeader(status, name) {
			continue
		}
		if name == "Vary" { // keep what the gateway has already set
			values = append(to["Vary"], values...)
		}
		to[name] = values
	}
	if op.Mount != "" {
		f.confine(to, x, res)
	}
}
