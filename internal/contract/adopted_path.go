package contract

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// basePath returns the path of the document's first server, without a trailing slash. It stands between the mount and the paths.
func (b *adopter) basePath() string {
	servers := b.root.get("servers").list()
	if len(servers) == 0 {
		return ""
	}
	base, err := serverPath(servers[0])
	if err != nil {
		b.warn(WarnServer, servers[0], "write a url whose path is plain, such as https://api.example.com/v1",
			"the path of the first server cannot be read: %v; the base path is /", err)
	}
	others := map[string]bool{base: true}
	for _, other := range servers[1:] {
		if p, err := serverPath(other); err == nil {
			others[p] = true
		}
	}
	if len(others) > 1 {
		b.warn(WarnServer, servers[0], "put the server whose path applies first",
			"the servers have %d different paths; the first one applies: %s", len(others), base+"/")
	}
	return base
}

var serverVariable = regexp.MustCompile(`\{([^{}]+)\}`)

// serverPath returns the path of a server's URL, with the defaults of its variables.
func serverPath(server *element) (string, error) {
	text := server.get("url").str()
	var missing string
	text = serverVariable.ReplaceAllStringFunc(text, func(variable string) string {
		value := server.get("variables", variable[1:len(variable)-1], "default")
		if value == nil || len(value.items) > 0 {
			missing = variable
			return ""
		}
		return value.text
	})
	if missing != "" {
		return "", fmt.Errorf("variable %s has no default", shortened(missing))
	}
	if scheme, rest, found := strings.Cut(text, "//"); found && (scheme == "" || strings.HasSuffix(scheme, ":")) {
		text = strings.TrimLeft(rest, "/")
		i := 0
		if i = strings.IndexAny(text, "/?#"); i < 0 {
			return "", nil
		}
		text = text[i:]
	}
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimRight(strings.TrimPrefix(text, "."), "/")
	if text == "" {
		return "", nil
	}
	if !strings.HasPrefix(text, "/") {
		text = "/" + text
	}
	if strings.ContainsAny(text, "{}") {
		return "", errors.New("it has braces")
	}
	route, _, err := adoptedRoute(text)
	return route, err
}

// cleanPath returns a path of the document in the form in which requests contain it.
func (b *adopter) cleanPath(template string, at *element) string {
	clean := template
	if i := strings.IndexAny(clean, "#?"); i >= 0 {
		clean = clean[:i]
		b.warn(WarnPath, at, "write the path without it",
			"the path %s has a fragment or a query, which no request's path carries; it is read as %s", shortened(template), shortened(clean))
	}
	if !strings.HasPrefix(clean, "/") {
		clean = "/" + clean
		b.warn(WarnPath, at, "write /"+shortened(template),
			"the path %s does not begin with /; it is read as if it did", shortened(template))
	}
	return clean
}

// anyName replaces parameter names in a route: templates that differ only in names match the same requests.
const anyName = "{*}"

// adoptedRoute returns the route of a path template, with literal text escaped as in requests, and the names of its parameters in order.
func adoptedRoute(template string) (route string, names []string, err error) {
	var out strings.Builder
	for i, segment := range strings.Split(template[1:], "/") {
		out.WriteByte('/')
		if segment == "" && i < strings.Count(template[1:], "/") {
			return "", nil, errors.New("it has an empty segment")
		}
		if segment == "." || segment == ".." {
			return "", nil, errors.New("it has a dot segment")
		}
		for rest, first := segment, true; rest != ""; first = false {
			literal, after, found := strings.Cut(rest, "{")
			if strings.Contains(literal, "}") {
				return "", nil, errors.New("it has a closing brace without an opening one")
			}
			if found && !first && literal == "" {
				return "", nil, errors.New("two parameters are adjacent")
			}
			out.WriteString(escapeLiteral(literal))
			if !found {
				break
			}
			name, tail, closed := strings.Cut(after, "}")
			if !closed || name == "" || slices.Contains(names, name) {
				return "", nil, fmt.Errorf("the parameter {%s} is not closed, has no name, or occurs twice", shortened(name))
			}
			out.WriteString(anyName)
			names, rest = append(names, name), tail
		}
	}
	if len(names) > maxPathParameters {
		return "", nil, fmt.Errorf("it has more than %d parameters", maxPathParameters)
	}
	if route = out.String(); strings.Count(route, "/") > maxSegments {
		return "", nil, fmt.Errorf("it has more than %d segments", maxSegments)
	}
	return route, names, nil
}

// escapeLiteral escapes what RFC 3986 requires to be escaped in a segment; existing escapes are kept.
func escapeLiteral(s string) string {
	if plainSegment(s) {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		c := s[i : i+1]
		if plainSegment(c) {
			out.WriteString(c)
			continue
		}
		if s[i] == '%' && i+2 < len(s) {
			if _, err := url.PathUnescape(s[i : i+3]); err == nil {
				out.WriteByte('%')
				continue
			}
		}
		fmt.Fprintf(&out, "%%%02X", s[i])
	}
	return out.String()
}
