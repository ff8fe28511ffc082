package forward

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
)

// A member is an adopted service, mounted at "/<name>". It does not know its mount, and gets no credentials but a token for itself. Its answers share an origin
// with the family's pages, so they must have no effect there.

// mountPrefix is the header that tells a member the path that it is mounted at.
const mountPrefix = "X-Forwarded-Prefix"

// target returns the request target for the service: the original one, for a member without the mount and undeclared query parameters.
func target(x *httpserver.Exchange) string {
	op := x.Operation
	if op.Mount == "" {
		return x.Request.RequestURI
	}
	path := strings.TrimPrefix(x.Request.URL.EscapedPath(), op.Mount)
	if path == "" {
		path = "/"
	}
	if query := op.DeclaredQuery(x.Request.URL.RawQuery); query != "" {
		return path + "?" + query
	}
	return path
}

// withheld reports whether a request header is not forwarded to the member: Authorization at public operations, since the credentials may be meant for any
// service.
func withheld(op *contract.Operation, name string) bool {
	return op.Mount != "" && op.Public && name == "Authorization"
}

// familyCookie reports whether a cookie belongs to the family's own pages. Members never get those.
func familyCookie(name string) bool {
	name = strings.ToLower(name)
	name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
	return strings.HasPrefix(name, "fountain")
}

// sandboxed is the Content-Security-Policy of every answer of a member: its content runs no scripts and has an opaque origin.
var sandboxed = []string{"sandbox; default-src 'none'; frame-ancestors 'none'"}

// actsInOrigin are response headers that affect our whole origin in a browser, or ask for credentials. They are dropped from members' answers,
// whatever the contract declares.
var actsInOrigin = map[string]bool{
	"Accept-Ch": true, "Alt-Svc": true, "Clear-Site-Data": true, "Content-Security-Policy": true, "Content-Security-Policy-Report-Only": true,
	"Cross-Origin-Embedder-Policy": true, "Cross-Origin-Opener-Policy": true, "Cross-Origin-Resource-Policy": true, "Document-Policy": true, "Link": true,
	"Nel": true, "Origin-Agent-Cluster": true, "Origin-Trial": true, "Permissions-Policy": true, "Public-Key-Pins": true, "Refresh": true,
	"Report-To": true, "Reporting-Endpoints": true, "Service-Worker-Allowed": true, "Set-Cookie": true, "Set-Cookie2": true, "Sourcemap": true,
	"Speculation-Rules": true, "Strict-Transport-Security": true, "Supports-Loading-Mode": true, "Www-Authenticate": true, "X-Frame-Options": true,
	"X-Sourcemap": true, "X-Robots-Tag": true,
}

// dropped reports whether a header is dropped from members' answers.
func dropped(name string) bool {
	return actsInOrigin[name] || strings.HasPrefix(name, "Access-Control-")
}

// located are the response headers whose value is a reference to a resource of the service.
var located = []string{"Location", "Content-Location"}

// relocate converts a reference of a member to one through the gateway. asked is the target that was requested from the service. A reference to another host is
// kept if it is a web URL; "" is returned for one that must not be sent. The reference is resolved here and written anew, since browsers interpret some forms
// differently from others, and dot segments could lead out of the mount.
func relocate(reference string, op *contract.Operation, from *url.URL, asked string) string {
	base, err := from.Parse(asked)
	if err != nil {
		return ""
	}
	u, err := base.Parse(reference)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	if !strings.EqualFold(u.Host, from.Host) {
		return u.String()
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return "" // they were percent-encoded, and browsers decode them
		}
	}
	at := url.URL{Path: op.Mount + u.Path, RawQuery: u.RawQuery, Fragment: u.Fragment}
	if u.RawPath != "" {
		at.RawPath = op.Mount + u.RawPath
	}
	return at.String()
}

// confine adds the sandbox to a member's answer, and converts its references.
func (f *Forwarder) confine(to http.Header, x *httpserver.Exchange, res *upstream.Response) {
	if f.confines {
		to["Content-Security-Policy"] = sandboxed
	}
	for _, name := range located {
		delete(to, name)
		if values := res.Header[name]; len(values) == 1 {
			if reference := relocate(values[0], x.Operation, res.From(), target(x)); reference != "" {
				to[name] = []string{reference}
			}
		}
	}
}

// activeContent is the keyword of the violation for an answer with executable content that the operator has not accepted.
const activeContent = "activeContent"
