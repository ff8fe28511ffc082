package forward

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
)

// A member's service is one of others, mounted at "/<name>". It does not know its mount, it gets no credentials but a token for itself, and its
// answers stand beside the family's own pages in one origin, so that they must not act there.

// mountPrefix tells a member's service under which path its own is reached.
const mountPrefix = "X-Forwarded-Prefix"

// target returns what is asked of the service: the target as it came, without the mount and what the contract does not declare.
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

// withheld reports whether a header of the request is not for the member: credentials of an operation that looks at none may be for anybody.
func withheld(op *contract.Operation, name string) bool {
	return op.Mount != "" && op.Public && name == "Authorization"
}

// familyCookie reports whether a cookie is one of the family's own pages, which no member gets.
func familyCookie(name string) bool {
	name = strings.ToLower(name)
	name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
	return strings.HasPrefix(name, "fountain")
}

// sandboxed is the Content-Security-Policy of every answer of a member: what it holds runs nothing, and is of no origin.
var sandboxed = []string{"sandbox; default-src 'none'; frame-ancestors 'none'"}

// actsInOrigin are the response headers by which a browser is told something about our whole origin, or is asked for credentials. A member's are
// dropped, whatever its contract declares.
var actsInOrigin = map[string]bool{
	"Accept-Ch": true, "Alt-Svc": true, "Clear-Site-Data": true, "Content-Security-Policy": true, "Content-Security-Policy-Report-Only": true,
	"Cross-Origin-Embedder-Policy": true, "Cross-Origin-Opener-Policy": true, "Cross-Origin-Resource-Policy": true, "Document-Policy": true, "Link": true,
	"Nel": true, "Origin-Agent-Cluster": true, "Origin-Trial": true, "Permissions-Policy": true, "Public-Key-Pins": true, "Refresh": true,
	"Report-To": true, "Reporting-Endpoints": true, "Service-Worker-Allowed": true, "Set-Cookie": true, "Set-Cookie2": true, "Sourcemap": true,
	"Speculation-Rules": true, "Strict-Transport-Security": true, "Supports-Loading-Mode": true, "Www-Authenticate": true, "X-Frame-Options": true,
	"X-Sourcemap": true, "X-Robots-Tag": true,
}

// dropped reports whether a header of a member's answer reaches no client.
func dropped(name string) bool {
	return actsInOrigin[name] || strings.HasPrefix(name, "Access-Control-")
}

// located are the response headers whose value is a reference to somewhere in the service.
var located = []string{"Location", "Content-Location"}

// relocate makes a reference of the member's service one that leads there through the gateway; asked is what was asked of the service. What leads elsewhere is
// passed on when it is a web address; "" is for what no member may say. A reference is resolved here and written anew, for browsers read some forms as others
// do not, and dot segments would lead out of the mount.
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
			return "" // they were escaped, and browsers unescape them
		}
	}
	at := url.URL{Path: op.Mount + u.Path, RawQuery: u.RawQuery, Fragment: u.Fragment}
	if u.RawPath != "" {
		at.RawPath = op.Mount + u.RawPath
	}
	return at.String()
}

// confine says how a browser is to take a member's answer, and where what it refers to is.
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

// activeContent is the keyword of the violation that an answer of these types is, where the operator has not accepted it.
const activeContent = "activeContent"
