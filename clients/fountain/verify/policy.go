package verify

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Policy says who may call each operation. A key is a method, a space and a path template as in OpenAPI, with the
// server's base path: "DELETE /v1/notes/{id}".
type Policy map[string]Rule

// Guard returns middleware that applies the policy before the next handler sees the request. A path that is not in the
// policy is 404, and a method that is not is 405. Nothing is reachable that the policy does not name. HEAD needs its
// own entry.
//
// The router behind Guard must interpret a path in the same way. So a path that two routers could read differently is
// 404: unnecessary escapes, encoded slashes, empty segments and dot segments. If several templates match, the one with
// a literal at the first segment where they differ is used, as in net/http and chi.
func (v *Verifier) Guard(p Policy) (func(http.Handler) http.Handler, error) {
	t, err := newTable(p)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rule, refusal := t.find(r)
			if refusal != nil {
				v.refuse(w, r, refusal)
				return
			}
			admitted, err := v.Admit(r, rule)
			if err != nil {
				v.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, admitted)
		})
	}, nil
}

// table is a compiled policy. Its templates are sorted with the more literal ones first.
type table []template

// template is a path and the rules of its methods. A segment "" is a parameter.
type template struct {
	path     string
	segments []string
	methods  map[string]Rule
}

func newTable(p Policy) (table, error) {
	var t table
	for key, rule := range p {
		method, path, _ := strings.Cut(key, " ")
		if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
			return nil, fmt.Errorf("%s: a key is a method, a space and a path template", key)
		}
		if err := rule.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		segments, err := compile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		i := slices.IndexFunc(t, func(have template) bool { return slices.Equal(have.segments, segments) })
		if i < 0 {
			t = append(t, template{path: path, segments: segments, methods: map[string]Rule{}})
			i = len(t) - 1
		}
		if _, twice := t[i].methods[method]; twice {
			return nil, fmt.Errorf("%s: another key means the same", key)
		}
		t[i].methods[method] = rule
	}
	for i, a := range t {
		for _, b := range t[i+1:] {
			if a.crosses(b) {
				return nil, fmt.Errorf("%s and %s: both match some paths, and neither is more specific", a.path, b.path)
			}
		}
	}
	slices.SortFunc(t, func(a, b template) int { return strings.Compare(b.rank(), a.rank()) })
	return t, nil
}

// compile splits a template into segments; "/" has none.
func compile(path string) ([]string, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("a path begins with a slash")
	}
	if path == "/" {
		return nil, nil
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		switch {
		case len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' && !strings.ContainsAny(s[1:len(s)-1], "{}.*"):
			segments[i] = ""
		case s == "", s == ".", s == "..", strings.ContainsFunc(s, needsEscape):
			return nil, errors.New("a segment is literal text or one {parameter}")
		}
	}
	return segments, nil
}

// needsEscape reports whether a character must be escaped in a path (RFC 3986, section 3.3).
func needsEscape(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~!$&'()*+,;=:@", c))
}

// rank orders templates. Of two that match a path, the one that has a literal where the other first has a parameter
// comes first.
func (t template) rank() string {
	var out strings.Builder
	for _, s := range t.segments {
		if s == "" {
			out.WriteByte('0')
		} else {
			out.WriteByte('1')
		}
	}
	return out.String()
}

// crosses reports whether a path can match both templates and each is more literal than the other in some segment.
// Routers disagree about such templates.
func (t template) crosses(o template) bool {
	if len(t.segments) != len(o.segments) {
		return false
	}
	mine, theirs := false, false
	for i, s := range t.segments {
		switch other := o.segments[i]; {
		case s == other:
		case s != "" && other != "":
			return false
		case s != "":
			mine = true
		default:
			theirs = true
		}
	}
	return mine && theirs
}

// find returns the rule for a request.
func (t table) find(r *http.Request) (Rule, *Problem) {
	segments, ok := split(r.URL.EscapedPath())
	if !ok {
		return Rule{}, notFound()
	}
	for _, one := range t {
		if !one.fits(segments) {
			continue
		}
		if rule, ok := one.methods[r.Method]; ok {
			return rule, nil
		}
		allow := make([]string, 0, len(one.methods))
		for method := range one.methods {
			allow = append(allow, method)
		}
		slices.Sort(allow)
		return Rule{}, &Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Title: "Method not allowed",
			Detail: "The path exists, but not with this method.", Header: http.Header{"Allow": {strings.Join(allow, ", ")}}}
	}
	return Rule{}, notFound()
}

func notFound() *Problem {
	return &Problem{Status: http.StatusNotFound, Code: "not_found", Title: "Not found", Detail: "There is no such path."}
}

// split splits an escaped path into segments. It returns false if two routers could read the path differently.
func split(path string) ([]string, bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	if path == "/" {
		return nil, true
	}
	segments := strings.Split(path[1:], "/")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || !plainlyEscaped(s) {
			return nil, false
		}
	}
	return segments, true
}

// plainlyEscaped reports whether a segment escapes exactly the characters that must be escaped, with upper-case hex
// digits. Then literal text is the same before and after decoding. Control characters, slashes and backslashes are
// refused even if they are escaped.
func plainlyEscaped(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			if needsEscape(rune(s[i])) {
				return false
			}
			continue
		}
		if i+2 >= len(s) {
			return false
		}
		high, low := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if high < 0 || low < 0 {
			return false
		}
		if c := rune(high<<4 | low); c < 0x80 && !needsEscape(c) || c < 0x20 || c == '/' || c == '\\' || c == 0x7f {
			return false
		}
		i += 2
	}
	return true
}

const hexDigits = "0123456789ABCDEF"

func (t template) fits(segments []string) bool {
	if len(segments) != len(t.segments) {
		return false
	}
	for i, s := range t.segments {
		if s != "" && s != segments[i] {
			return false
		}
	}
	return true
}
