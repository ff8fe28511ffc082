package contract

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// Table is the route table of one or several contracts: a tree over escaped path segments. A static segment beats a
// segment with literal parts around a parameter, which beats a bare parameter. It is immutable.
type Table struct{ root *node }

// node is one position in a path.
type node struct {
	static     map[string]*node
	templates  []*templateNode // most literal first
	operations map[string]*Operation
	allow      string // value of the Allow header; "" where no path ends
}

// templateNode is a segment with one parameter: prefix{name}suffix.
type templateNode struct {
	prefix, suffix, name string
	next                 *node
}

// Match is a found operation with its path parameters.
type Match struct {
	Operation *Operation
	names     []string
	values    []string // still escaped
}

// Param returns a path parameter, unescaped.
func (m *Match) Param(name string) (string, bool) {
	for i, n := range m.names {
		if n == name {
			value, err := url.PathUnescape(m.values[i])
			return value, err == nil
		}
	}
	return "", false
}

// NewTable joins the operations of contracts into one table; two operations of the same method and path, or parameters of
// different names at one position, are an error.
func NewTable(contracts ...*Contract) (*Table, error) {
	t := &Table{root: &node{}}
	for _, c := range contracts {
		for _, op := range c.Operations {
			if err := t.add(op); err != nil {
				return nil, fmt.Errorf("route of %s: %w", op.ID, err)
			}
		}
	}
	t.root.finish()
	return t, nil
}

func (t *Table) add(op *Operation) error {
	if !strings.HasPrefix(op.Path, "/") {
		return fmt.Errorf("path must begin with /")
	}
	at := t.root
	if op.Path != "/" {
		for _, segment := range strings.Split(op.Path[1:], "/") {
			next, err := at.child(segment)
			if err != nil {
				return err
			}
			at = next
		}
	}
	if at.operations == nil {
		at.operations = map[string]*Operation{}
	}
	if other, taken := at.operations[op.Method]; taken {
		return fmt.Errorf("%s has the same method and path", other.ID)
	}
	at.operations[op.Method] = op
	return nil
}

func (n *node) child(segment string) (*node, error) {
	prefix, rest, isTemplate := strings.Cut(segment, "{")
	if !isTemplate {
		if segment == "" || segment == "." || segment == ".." || !plainSegment(segment) {
			return nil, fmt.Errorf("segment %q cannot be matched literally", segment)
		}
		if n.static == nil {
			n.static = map[string]*node{}
		}
		next := n.static[segment]
		if next == nil {
			next = &node{}
			n.static[segment] = next
		}
		return next, nil
	}
	name, suffix, closed := strings.Cut(rest, "}")
	if !closed || name == "" || strings.ContainsAny(suffix, "{}") || !plainSegment(prefix) || !plainSegment(suffix) {
		return nil, fmt.Errorf("segment %q must have one parameter and plain text around it", segment)
	}
	for _, have := range n.templates {
		if have.prefix == prefix && have.suffix == suffix {
			if have.name != name {
				return nil, fmt.Errorf("parameters {%s} and {%s} stand at the same position", have.name, name)
			}
			return have.next, nil
		}
	}
	tn := &templateNode{prefix: prefix, suffix: suffix, name: name, next: &node{}}
	n.templates = append(n.templates, tn)
	return tn.next, nil
}

// plainSegment reports whether s has only characters that need no escape in a path.
func plainSegment(s string) bool {
	for i := range len(s) {
		if !unreserved(s[i]) && !strings.ContainsRune("!$&'()*+,;=:@", rune(s[i])) {
			return false
		}
	}
	return true
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// finish orders the templates and writes the Allow values.
func (n *node) finish() {
	sort.SliceStable(n.templates, func(i, j int) bool {
		a, b := n.templates[i], n.templates[j]
		if d := len(a.prefix) + len(a.suffix) - len(b.prefix) - len(b.suffix); d != 0 {
			return d > 0
		}
		return a.prefix > b.prefix
	})
	if len(n.operations) > 0 {
		methods := []string{http.MethodOptions}
		for method := range n.operations {
			methods = append(methods, method)
		}
		if n.operations[http.MethodGet] != nil && n.operations[http.MethodHead] == nil {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		n.allow = strings.Join(slices.Compact(methods), ", ")
	}
	for _, next := range n.static {
		next.finish()
	}
	for _, t := range n.templates {
		t.next.finish()
	}
}

// Match finds the operation of a method and a path as it was sent, still escaped. HEAD finds GET. Errors: not_found (404,
// also for a trailing slash, an empty segment, a dot segment or an escaped slash, escaped or not), malformed_target (400),
// method_not_allowed (405 with Allow), method_unknown (501).
func (t *Table) Match(method, escapedPath string) (*Match, error) {
	n, m, err := t.find(escapedPath)
	if err != nil {
		return nil, err
	}
	op := n.operations[method]
	if op == nil && method == http.MethodHead {
		op = n.operations[http.MethodGet]
	}
	if op == nil {
		if !knownMethod(method) {
			return nil, problem.New(problem.MethodUnknown, "No operation of this API uses this method.")
		}
		return nil, problem.New(problem.MethodNotAllowed, "The path exists, but not with this method.").WithHeader("Allow", n.allow)
	}
	m.Operation = op
	return m, nil
}

// Allow returns the methods of a path in the form of the Allow header; its errors are those of Match.
func (t *Table) Allow(escapedPath string) (string, error) {
	n, _, err := t.find(escapedPath)
	if err != nil {
		return "", err
	}
	return n.allow, nil
}

func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return true
	}
	return false
}

func (t *Table) find(escapedPath string) (*node, *Match, error) {
	segments, err := splitPath(escapedPath)
	if err != nil {
		return nil, nil, err
	}
	m := &Match{}
	n := t.root.walk(segments, m)
	if n == nil {
		return nil, nil, errNoPath
	}
	return n, m, nil
}

// walk follows segments to a node where a path ends; it takes back a choice that leads nowhere.
func (n *node) walk(segments []string, m *Match) *node {
	if len(segments) == 0 {
		if len(n.operations) == 0 {
			return nil
		}
		return n
	}
	segment := segments[0]
	if next := n.static[segment]; next != nil {
		if end := next.walk(segments[1:], m); end != nil {
			return end
		}
	}
	for _, t := range n.templates {
		if len(segment) <= len(t.prefix)+len(t.suffix) || !strings.HasPrefix(segment, t.prefix) || !strings.HasSuffix(segment, t.suffix) {
			continue
		}
		m.names = append(m.names, t.name)
		m.values = append(m.values, segment[len(t.prefix):len(segment)-len(t.suffix)])
		if end := t.next.walk(segments[1:], m); end != nil {
			return end
		}
		m.names, m.values = m.names[:len(m.names)-1], m.values[:len(m.values)-1]
	}
	return nil
}

var errNoPath = problem.New(problem.NotFound, "This API has no such path.")

// maxSegments bounds the work of one look-up.
const maxSegments = 64

// splitPath checks a path's escapes and splits it. The paths that different programs read differently are not found.
func splitPath(path string) ([]string, error) {
	if path == "/" {
		return nil, nil
	}
	if path == "" || path[0] != '/' {
		return nil, problem.New(problem.MalformedTarget, "The request target must begin with a slash.")
	}
	if err := checkPathBytes(path); err != nil {
		return nil, err
	}
	if strings.Count(path, "/") > maxSegments {
		return nil, errNoPath
	}
	segments := strings.Split(path[1:], "/")
	for _, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return nil, malformedTarget("path", string(RulePathEscape), "has an invalid percent escape")
		}
		if !utf8.ValidString(decoded) {
			return nil, malformedTarget("path", string(RulePathUTF8), "is not valid UTF-8")
		}
		if strings.ContainsFunc(decoded, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return nil, malformedTarget("path", string(RulePathControl), "has a control character")
		}
		if decoded == "" || decoded == "." || decoded == ".." || strings.ContainsAny(decoded, `/\`) {
			return nil, errNoPath
		}
	}
	return segments, nil
}

// checkPathBytes admits only the characters of RFC 3986 section 3.3.
func checkPathBytes(path string) error {
	for i := range len(path) {
		c := path[i]
		if !unreserved(c) && !strings.ContainsRune("!$&'()*+,;=:@/%", rune(c)) {
			return malformedTarget("path", string(RulePathCharacter), "has a character that must be escaped")
		}
	}
	return nil
}

func malformedTarget(in, rule, message string) *problem.Error {
	return problem.New(problem.MalformedTarget, "The request target is malformed.").WithField(in, "", rule, message)
}
