package forward

import (
	"net/http"
	"strings"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// passedOn are the request headers that every operation's service gets as the client sent them. Beside these it gets the header parameters
// that its contract declares, the cookies that it declares, and what the gateway says itself. Nothing else passes: a header that no check
// has seen may mean something to a service, or to a proxy before it.
var passedOn = []string{"Accept", "Accept-Language", "Authorization", "Content-Type", "Traceparent", "Tracestate", "User-Agent"}

// requestHeader returns the header that goes to the service.
func requestHeader(x *httpserver.Exchange) http.Header {
	in, op := x.Request.Header, x.Operation
	out := make(http.Header, 16)
	take := func(name string) {
		if values := in[name]; len(values) > 0 {
			out[name] = values
		}
	}
	for _, name := range passedOn {
		take(name)
	}
	for _, name := range op.RequestHeaders() {
		take(name)
	}
	if x.Body == nil && !op.StreamsBody() {
		delete(out, "Content-Type")
	}
	if names := op.Cookies(); len(names) > 0 {
		declaredCookies(out, x.Request, names)
	}
	out["Accept-Encoding"] = identity // the answer is checked, so it must be plain
	out["X-Forwarded-For"] = []string{x.ClientIP.String()}
	out["X-Forwarded-Host"] = []string{x.Request.Host}
	out["X-Forwarded-Proto"] = []string{x.Scheme}
	out["X-Request-Id"] = []string{problem.RequestID(x.Request.Context())}
	x.InjectTrace(out)
	return out
}

var identity = []string{"identity"}

// declaredCookies passes on the cookies that the contract declares.
func declaredCookies(out http.Header, r *http.Request, names []string) {
	var pairs []string
	for _, name := range names {
		for _, cookie := range r.CookiesNamed(name) {
			pairs = append(pairs, cookie.Name+"="+cookie.Value)
		}
	}
	if len(pairs) > 0 {
		out["Cookie"] = []string{strings.Join(pairs, "; ")}
	}
}

// passedBack are the response headers that every answer may have (RFC 9110, 9111, 8594, 9745). Beside these the client gets the headers that
// the contract declares for the answer's status; others are dropped, for nobody has looked at what a service says there.
var passedBack = map[string]bool{
	"Cache-Control": true, "Content-Disposition": true, "Content-Language": true, "Content-Type": true, "Deprecation": true, "Etag": true, "Expires": true,
	"Last-Modified": true, "Retry-After": true, "Sunset": true, "Vary": true, "Www-Authenticate": true,
}

// ours are the response headers that the gateway sets itself.
var ours = map[string]bool{"X-Request-Id": true, "X-Content-Type-Options": true, "Content-Length": true, "Date": true}

// responseHeader puts what the client may know of a service's header into the answer. What the gateway says of storing the answer holds,
// unless the contract leaves that to the service.
func responseHeader(to, from http.Header, op *contract.Operation, status int) {
	_, decided := to["Cache-Control"]
	for name, values := range from {
		if ours[name] || !passedBack[name] && !op.DeclaresResponseHeader(status, name) {
			continue
		}
		if name == "Cache-Control" && decided && !op.DeclaresResponseHeader(status, name) {
			continue
		}
		if name == "Vary" { // the gateway has said already on what it depends
			values = append(to["Vary"], values...)
		}
		to[name] = values
	}
}
