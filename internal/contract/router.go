package contract

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// Table is the route table of one or several contracts: a tree over escaped path segments. A static segment takes precedence over a segment with
// literal text around a parameter, which takes precedence over a bare parameter. It is immutable.
type Table struct {
	root    *node
	slashed bool // some path ends with a slash
}

// node is one position in a path.
type node struct {
	static    map[string]*node
	after     *names[*node]   // the same as static; nil where there is none
	templates []*templateNode // most literal first
	routes    []route         // the operations of the path that ends here, one for each method
	names     []string        // of the parameters on the way here
	allow     string          // value of the Allow header
	refused   error           // the error for other methods
}

// route is the operation of a method at the end of a path.
type route struct {
	method    string
	operation *Operation
}

// templateNode is a segment with one parameter: prefix{name}suffix.
type templateNode struct {
	prefix, suffix, name string
	between              []string // literal texts between several parameters; nil when there is one
	next                 *node
}

// maxPathParameters is how many parameters a path may have.
const maxPathParameters = 16

// Match is a matched operation with its path parameters, which are stored as positions in the path without copying. Table.Match fills it; the zero
// value is no match.
type Match struct {
	Operation *Operation
	path      string
	names     []string // shared with the table, must not be changed
	spans     [maxPathParameters]span
	count     int // of spans in use
}

// span is a part of the path. Each request has maxPathParameters of them.
type span struct{ start, end int32 }

func spanOf(start, end int) span { return span{int32(start), int32(end)} }

// Param returns a path parameter, unescaped.
func (m *Match) Param(name string) (string, bool) {
	for i, n := range m.names {
		if n == name {
			return m.value(i), true
		}
	}
	return "", false
}

// Len returns how many parameters the path has.
func (m *Match) Len() int { return m.count }

// Params iterates over the path parameters with their names, as they were sent (escaped) or unescaped.
func (m *Match) Params(escaped bool) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i, name := range m.names {
			value := m.path[m.spans[i].start:m.spans[i].end]
			if !escaped {
				value = m.value(i)
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

// value returns the parameter at a position, unescaped. Match has checked the escapes.
func (m *Match) value(position int) string {
	at := m.spans[position]
	escaped := m.path[at.start:at.end]
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped
	}
	value, _ := url.PathUnescape(escaped)
	return value
}

// NewTable merges the operations of contracts into one table. It fails when two operations have the same method and path, or one position has
// parameters of different names.
func NewTable(contracts ...*Contract) (*Table, error) {
	t := &Table{root: &node{}}
	for _, c := range contracts {
		for _, op := range c.Operations {
			if err := t.add(op); err != nil {
				return nil, fmt.Errorf("%s: route of %s: %w", op.Origin, op.ID, err)
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
	var names []string
	path := op.Path
	if op.adopted {
		path = op.route
	}
	if path != "/" {
		t.slashed = t.slashed || strings.HasSuffix(path, "/")
		segments := strings.Split(path[1:], "/")
		for i, segment := range segments {
			child := at.child
			if op.adopted || segment == "" && i == len(segments)-1 {
				child = at.adoptedChild
			}
			next, name, err := child(segment)
			if err != nil {
				return err
			}
			if at = next; name != "" {
				names = append(names, name)
			}
		}
	}
	if op.adopted {
		names = op.pathNames
	}
	if len(names) > maxPathParameters {
		return fmt.Errorf("path must have at most %d parameters", maxPathParameters)
	}
	if other := at.operation(op.Method); other != nil {
		return fmt.Errorf("%s has the same method and path", other.ID)
	}
	at.names, at.routes = names, append(at.routes, route{op.Method, op})
	return nil
}

func (n *node) operation(method string) *Operation {
	for i := range n.routes {
		if n.routes[i].method == method {
			return n.routes[i].operation
		}
	}
	return nil
}

// child returns the node after a segment, which it creates if needed, and the name of the segment's parameter.
func (n *node) child(segment string) (next *node, name string, err error) {
	prefix, rest, isTemplate := strings.Cut(segment, "{")
	if !isTemplate {
		if segment == "" || segment == "." || segment == ".." || !plainSegment(segment) {
			return nil, "", fmt.Errorf("segment %q cannot be matched literally", segment)
		}
		if n.static == nil {
			n.static = map[string]*node{}
		}
		next = n.static[segment]
		if next == nil {
			next = &node{}
			n.static[segment] = next
		}
		return next, "", nil
	}
	name, suffix, closed := strings.Cut(rest, "}")
	if !closed || name == "" || strings.ContainsAny(suffix, "{}") || !plainSegment(prefix) || !plainSegment(suffix) {
		return nil, "", fmt.Errorf("segment %q must have one parameter and plain text around it", segment)
	}
	for _, have := range n.templates {
		if have.prefix == prefix && have.suffix == suffix {
			if have.name != name {
				return nil, "", fmt.Errorf("parameters {%s} and {%s} are at the same position", have.name, name)
			}
			return have.next, name, nil
		}
	}
	tn := &templateNode{prefix: prefix, suffix: suffix, name: name, next: &node{}}
	n.templates = append(n.templates, tn)
	return tn.next, name, nil
}

// adoptedChild is child for a segment of adoptedRoute, which may have several parameters, and is empty after the last slash.
func (n *node) adoptedChild(segment string) (next *node, name string, err error) {
	texts := strings.Split(segment, anyName)
	if len(texts) == 1 {
		if n.static == nil {
			n.static = map[string]*node{}
		}
		if n.static[segment] == nil {
			n.static[segment] = &node{}
		}
		return n.static[segment], "", nil
	}
	tn := &templateNode{prefix: texts[0], suffix: texts[len(texts)-1], name: anyName, next: &node{}}
	if len(texts) > 2 {
		tn.between = texts[1 : len(texts)-1]
	}
	for _, have := range n.templates {
		if have.prefix == tn.prefix && have.suffix == tn.suffix && slices.Equal(have.between, tn.between) {
			return have.next, anyName, nil
		}
	}
	n.templates = append(n.templates, tn)
	return tn.next, anyName, nil
}

// literal returns how many characters of a segment are literal text.
func (t *templateNode) literal() int {
	n := len(t.prefix) + len(t.suffix)
	for _, text := range t.between {
		n += len(text)
	}
	return n
}

// split divides the text between prefix and suffix, from at to end, among several parameters of at least one character each. Where the literal text
// between two of them occurs more than once, the last occurrence is used.
func (t *templateNode) split(m *Match, path string, at, end int) bool {
	first := m.count
	for i := len(t.between) - 1; i >= 0; i-- {
		text := t.between[i]
		if end-at < len(text)+2 {
			return false
		}
		found := strings.LastIndex(path[at+1:end-1], text)
		if found < 0 {
			return false
		}
		found += at + 1
		m.spans[first+i+1] = spanOf(found+len(text), end)
		end = found
	}
	m.spans[first] = spanOf(at, end)
	m.count = first + len(t.between) + 1
	return true
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
		if d := a.literal() - b.literal(); d != 0 {
			return d > 0
		}
		return a.prefix > b.prefix
	})
	if len(n.routes) > 0 {
		methods := []string{http.MethodOptions}
		for _, r := range n.routes {
			methods = append(methods, r.method)
		}
		if n.operation(http.MethodGet) != nil && n.operation(http.MethodHead) == nil {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		n.allow = strings.Join(slices.Compact(methods), ", ")
		n.refused = problem.New(problem.MethodNotAllowed, "The path exists, but not with this method.").WithHeader("Allow", n.allow)
	}
	if len(n.static) > 0 {
		n.after = newNames[*node](len(n.static))
	}
	for segment, next := range n.static {
		n.after.put(segment, next)
		next.finish()
	}
	for _, t := range n.templates {
		t.next.finish()
	}
}

// Match finds the operation for a method and a path as it was sent, still escaped, and fills m. HEAD matches GET. Errors: not_found (404, also for a
// trailing slash, an empty segment, a dot segment or a slash within a segment, escaped or not), malformed_target (400), method_not_allowed (405 with
// Allow), method_unknown (501).
func (t *Table) Match(method, escapedPath string, m *Match) error {
	m.Operation = nil
	n, err := t.find(escapedPath, m)
	if err != nil {
		return err
	}
	op := n.operation(method)
	if op == nil && method == http.MethodHead {
		op = n.operation(http.MethodGet)
	}
	if op == nil {
		if !knownMethod(method) {
			return errMethodUnknown
		}
		return n.refused
	}
	m.Operation = op
	if op.pathNames != nil {
		m.names = op.pathNames
	}
	return nil
}

var errMethodUnknown error = problem.New(problem.MethodUnknown, "No operation of this API uses this method.")

// Allow returns the methods of a path as the value of the Allow header. Errors are those of Match.
func (t *Table) Allow(escapedPath string) (string, error) {
	var m Match
	n, err := t.find(escapedPath, &m)
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

func (t *Table) find(path string, m *Match) (*node, error) {
	m.path, m.names, m.count = path, nil, 0
	checked := path
	if t.slashed && len(path) > 1 {
		checked = strings.TrimSuffix(path, "/")
	}
	if err := checkPath(checked); err != nil {
		return nil, err
	}
	at := len("/")
	if path == "/" {
		at = pathEnd
	}
	n := t.root.walk(path, at, m)
	if n == nil {
		return nil, errNoPath
	}
	m.names = n.names
	return n, nil
}

// pathEnd is the position after the last segment.
const pathEnd = -1

// walk matches the segments from a position of the path to a node where a path ends, with backtracking.
func (n *node) walk(path string, at int, m *Match) *node {
	if at == pathEnd {
		if len(n.routes) == 0 {
			return nil
		}
		return n
	}
	end, then := len(path), pathEnd
	if i := strings.IndexByte(path[at:], '/'); i >= 0 {
		end, then = at+i, at+i+1
	}
	segment := path[at:end]
	if n.after != nil {
		if next := n.after.find(segment); next != nil {
			if found := (*next).walk(path, then, m); found != nil {
				return found
			}
		}
	}
	for _, t := range n.templates {
		if len(segment) <= len(t.prefix)+len(t.suffix) || !strings.HasPrefix(segment, t.prefix) || !strings.HasSuffix(segment, t.suffix) {
			continue
		}
		before := m.count
		if t.between != nil {
			if !t.split(m, path, at+len(t.prefix), end-len(t.suffix)) {
				continue
			}
		} else {
			m.spans[m.count] = spanOf(at+len(t.prefix), end-len(t.suffix))
			m.count++
		}
		if found := t.next.walk(path, then, m); found != nil {
			return found
		}
		m.count = before
	}
	return nil
}

var errNoPath error = problem.New(problem.NotFound, "This API has no such path.")

// maxSegments bounds the work of one look-up.
const maxSegments = 64

// Bits of the bytes of a path.
const (
	pathForbidden = 1 << iota
	pathEscape
	pathSlash
	pathOdd // a slash or a dot, which is not allowed after a slash
	pathOddPair
)

// pathBits admits only the characters of RFC 3986 section 3.3.
var pathBits = func() (bits [256]uint8) {
	for c := range 256 {
		if !unreserved(byte(c)) && strings.IndexByte("!$&'()*+,;=:@", byte(c)) < 0 {
			bits[c] = pathForbidden
		}
	}
	bits['%'], bits['/'], bits['.'] = pathEscape, pathSlash|pathOdd, pathOdd
	return bits
}()

// checkPath checks a path's bytes and escapes. Paths that programs read differently are not found.
func checkPath(path string) error {
	if path == "/" {
		return nil
	}
	if path == "" || path[0] != '/' {
		return errNoSlash
	}
	var all, before uint8
	for i := range len(path) {
		bits := pathBits[path[i]]
		all |= bits | before<<1&bits&pathOdd<<1 // a slash before a slash or dot makes pathOddPair
		before = bits
	}
	switch {
	case all&pathForbidden != 0:
		return errPathCharacter
	case len(path) > maxSegments && strings.Count(path, "/") > maxSegments:
		return errNoPath
	case all&(pathEscape|pathOddPair) == 0 && before&pathSlash == 0:
		return nil
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if err := checkSegment(segment); err != nil {
			return err
		}
	}
	return nil
}

// checkSegment checks one segment, decoded.
func checkSegment(segment string) error {
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		return errPathEscape
	}
	if !utf8.ValidString(decoded) {
		return errPathUTF8
	}
	if strings.ContainsFunc(decoded, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return errPathControl
	}
	if decoded == "" || decoded == "." || decoded == ".." || strings.ContainsAny(decoded, `/\`) {
		return errNoPath
	}
	return nil
}

var (
	errNoSlash       error = problem.New(problem.MalformedTarget, "The request target must begin with a slash.")
	errPathCharacter       = malformedTarget(RulePathCharacter, "has a character that must be escaped")
	errPathEscape          = malformedTarget(RulePathEscape, "has an invalid percent escape")
	errPathUTF8            = malformedTarget(RulePathUTF8, "is not valid UTF-8")
	errPathControl         = malformedTarget(RulePathControl, "has a control character")
)

func malformedTarget(rule Rule, message string) error {
	return problem.New(problem.MalformedTarget, "The request target is malformed.").WithField("path", "", string(rule), message)
}
