package httpserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/contract"
)

// CORS lets pages of some origins call the operations of the contracts from a browser (Fetch standard, section 3.3). They may send and read what the
// contract declares. Cookies are never included: callers present a token. A nil *CORS admits no page.
type CORS struct{ origins map[string]bool }

// NewCORS returns the rules for these origins, each scheme://host or scheme://host:port. It returns nil when there are none.
func NewCORS(origins []string) (*CORS, error) {
	if len(origins) == 0 {
		return nil, nil
	}
	c := &CORS{origins: map[string]bool{}}
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(u.Host, "*") || origin != strings.ToLower(u.Scheme+"://"+u.Host) {
			return nil, fmt.Errorf("an origin must be scheme://host or scheme://host:port in lower case, without a path; * is not one")
		}
		c.origins[origin] = true
	}
	return c, nil
}

// preflightAge is for how long a browser may cache the answer to a preflight, in seconds.
const preflightAge = "600"

// sentByPages are the request headers that pages may send to every operation.
var sentByPages = []string{"Accept", "Accept-Language", "Authorization", "Content-Type", "Traceparent", "Tracestate"}

// readByPages are the response headers that pages may read in every answer, in addition to the CORS-safelisted ones.
var readByPages = []string{"Etag", "Ratelimit", "Ratelimit-Policy", "Retry-After", "Www-Authenticate", "X-Request-Id"}

// origin returns the request's origin when its pages may call. It marks the answer as varying by origin in any case.
func (c *CORS) origin(x *Exchange) string {
	if c == nil {
		return ""
	}
	x.Writer.Header().Add("Vary", "Origin")
	said := x.Request.Header["Origin"]
	if len(said) != 1 || !c.origins[said[0]] {
		return ""
	}
	return said[0]
}

// open tells the browser that a page of the origin may read the answer, whatever the answer is. op is nil where no operation was found.
func (c *CORS) open(x *Exchange, op *contract.Operation) {
	origin := c.origin(x)
	if origin == "" {
		return
	}
	read := slices.Clone(readByPages)
	if op != nil {
		read = append(read, op.ResponseHeaders()...)
	}
	h := x.Writer.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", headerList(read))
}

// preflight answers a preflight request; allow are the methods of the path. When the origin or the method is not allowed, it writes nothing that a
// page could use.
func (c *CORS) preflight(x *Exchange, routes Routes, allow string) {
	method := x.Request.Header.Get("Access-Control-Request-Method")
	if c == nil || method == "" {
		return
	}
	h := x.Writer.Header()
	h.Add("Vary", "Access-Control-Request-Method")
	h.Add("Vary", "Access-Control-Request-Headers")
	origin := c.origin(x)
	var match contract.Match
	err := routes.Match(method, x.Request.URL.EscapedPath(), &match)
	if origin == "" || err != nil {
		return
	}
	sent := append(slices.Clone(sentByPages), match.Operation.RequestHeaders()...)
	if match.Operation.AcceptsOTP() {
		sent = append(sent, "X-Otp")
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", allow)
	h.Set("Access-Control-Allow-Headers", headerList(sent))
	h.Set("Access-Control-Max-Age", preflightAge)
}

// headerList joins names without duplicates, in the usual spelling.
func headerList(names []string) string {
	for i, name := range names {
		names[i] = http.CanonicalHeaderKey(name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
