package contract

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// table returns a route table of "METHOD /path" lines; each line is its operationId.
func table(lines ...string) (*Table, error) {
	c := &Contract{}
	for _, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		c.Operations = append(c.Operations, &Operation{ID: line, Method: method, Path: path})
	}
	return NewTable(c)
}

// match is Match with a result of its own.
func match(routes interface {
	Match(method, path string, m *Match) error
}, method, path string) (*Match, error) {
	m := &Match{}
	return m, routes.Match(method, path, m)
}

func TestMatch_prefersWhatIsMoreLiteral(t *testing.T) {
	routes, err := table("GET /a", "GET /a/{x}", "GET /a/special", "GET /a/{x}.csv", "GET /a/v{x}", "GET /a/{x}/b", "GET /a/special/c",
		"GET /{x}/z/q", "POST /a/{x}:undelete", "GET /", "GET /deep/{x}/{y}/{z}")
	require.NoError(t, err)
	for path, want := range map[string]string{
		"/":                "GET /",
		"/a":               "GET /a",
		"/a/1":             "GET /a/{x}",
		"/a/special":       "GET /a/special",
		"/a/special1":      "GET /a/{x}",
		"/a/1.csv":         "GET /a/{x}.csv",
		"/a/v1":            "GET /a/v{x}",
		"/a/v":             "GET /a/{x}",
		"/a/.csv":          "GET /a/{x}",
		"/a/special/b":     "GET /a/{x}/b",
		"/a/special/c":     "GET /a/special/c",
		"/a/z/q":           "GET /{x}/z/q",
		"/deep/1/2/3":      "GET /deep/{x}/{y}/{z}",
		"/a/%41":           "GET /a/{x}",
		"/a/caf%C3%A9":     "GET /a/{x}",
		"/a/a:b,c;d=e&f@g": "GET /a/{x}",
	} {
		m, err := match(routes, "GET", path)
		require.NoError(t, err, path)
		require.Equal(t, want, m.Operation.ID, path)
	}
	m, err := match(routes, "POST", "/a/7:undelete")
	require.NoError(t, err)
	x, ok := m.Param("x")
	require.True(t, ok)
	require.Equal(t, "7", x)
	m, err = match(routes, "GET", "/deep/caf%C3%A9/b/%7B")
	require.NoError(t, err)
	for name, want := range map[string]string{"x": "café", "y": "b", "z": "{"} {
		value, ok := m.Param(name)
		require.True(t, ok)
		require.Equal(t, want, value)
	}
	_, ok = m.Param("other")
	require.False(t, ok)
}

func TestMatch_takesBackAChoiceThatLeadsNowhere(t *testing.T) {
	routes, err := table("GET /a/b/c", "GET /{x}/b/d", "GET /{x}/{y}/{z}")
	require.NoError(t, err)
	for path, want := range map[string]string{"/a/b/c": "GET /a/b/c", "/a/b/d": "GET /{x}/b/d", "/a/b/e": "GET /{x}/{y}/{z}"} {
		m, err := match(routes, "GET", path)
		require.NoError(t, err)
		require.Equal(t, want, m.Operation.ID)
		require.Equal(t, strings.Count(want, "{"), m.count, "parameters of abandoned choices are gone")
		require.Len(t, m.names, m.count)
	}
	routes, err = table("GET /{x}.csv/a", "GET /{x}/b")
	require.NoError(t, err)
	m, err := match(routes, "GET", "/1.csv/b")
	require.NoError(t, err)
	x, _ := m.Param("x")
	require.Equal(t, "1.csv", x, "not what the abandoned choice had taken")
}

func TestMatch_refusesPathsThatProgramsReadDifferently(t *testing.T) {
	routes, err := table("GET /a", "GET /a/{x}", "GET /a/{x}/b")
	require.NoError(t, err)
	for path, want := range map[string]problem.Code{
		"/a/":                     problem.NotFound, // trailing slash
		"//a":                     problem.NotFound,
		"/a//b":                   problem.NotFound,
		"/a/.":                    problem.NotFound,
		"/a/..":                   problem.NotFound,
		"/a/%2e":                  problem.NotFound,
		"/a/%2E%2e":               problem.NotFound,
		"/a/.%2e/b":               problem.NotFound,
		"/a/x%2Fb":                problem.NotFound,
		"/a/x%2fb":                problem.NotFound,
		"/a/x%5Cb":                problem.NotFound,
		"/%61":                    problem.NotFound, // an escaped static segment
		"/A":                      problem.NotFound,
		"/nothing":                problem.NotFound,
		"":                        problem.MalformedTarget,
		"a":                       problem.MalformedTarget,
		"*":                       problem.MalformedTarget,
		"http://h/a":              problem.MalformedTarget,
		"/a/%":                    problem.MalformedTarget,
		"/a/%zz":                  problem.MalformedTarget,
		"/a/%4":                   problem.MalformedTarget,
		"/a/%00":                  problem.MalformedTarget,
		"/a/%0A":                  problem.MalformedTarget,
		"/a/%7F":                  problem.MalformedTarget,
		"/a/%ff":                  problem.MalformedTarget,
		"/a/%C0%AF":               problem.MalformedTarget, // an overlong slash
		"/a/ b":                   problem.MalformedTarget,
		"/a/é":                    problem.MalformedTarget,
		"/a/\x00":                 problem.MalformedTarget,
		"/a/x\\b":                 problem.MalformedTarget,
		"/a/x#b":                  problem.MalformedTarget,
		"/a/x?b":                  problem.MalformedTarget,
		"/a/[x]":                  problem.MalformedTarget,
		"/a/{x}":                  problem.MalformedTarget,
		"/a/%2525zz":              "", // a percent sign, once decoded
		strings.Repeat("/a", 100): problem.NotFound,
	} {
		_, err := match(routes, "GET", path)
		if want == "" {
			require.NoError(t, err, path)
			continue
		}
		require.ErrorIs(t, err, want, path)
		_, err = routes.Allow(path)
		require.ErrorIs(t, err, want, path)
	}
}

func TestMatch_answersWrongMethodsWithExactAllow(t *testing.T) {
	routes, err := table("GET /a", "POST /a", "PUT /b", "DELETE /b")
	require.NoError(t, err)
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/a", "GET, HEAD, OPTIONS, POST"}, {"TRACE", "/a", "GET, HEAD, OPTIONS, POST"}, {"CONNECT", "/a", "GET, HEAD, OPTIONS, POST"},
		{"GET", "/b", "DELETE, OPTIONS, PUT"}, {"HEAD", "/b", "DELETE, OPTIONS, PUT"}, {"OPTIONS", "/b", "DELETE, OPTIONS, PUT"},
	} {
		_, err := match(routes, c.method, c.path)
		require.ErrorIs(t, err, problem.MethodNotAllowed)
		require.Equal(t, []string{c.allow}, problem.From(err).Header["Allow"])
		allow, err := routes.Allow(c.path)
		require.NoError(t, err)
		require.Equal(t, c.allow, allow)
	}
	for _, method := range []string{"BREW", "get", "", "PROPFIND"} {
		_, err := match(routes, method, "/a")
		require.ErrorIs(t, err, problem.MethodUnknown, method)
	}
	_, err = match(routes, "BREW", "/nothing")
	require.ErrorIs(t, err, problem.NotFound)
}

func TestMatch_forgetsWhatItFoundBefore(t *testing.T) {
	routes, err := table("GET /a/{x}", "GET /b/{y}/{z}")
	require.NoError(t, err)
	var m Match
	require.NoError(t, routes.Match("GET", "/b/1/2", &m))
	require.NoError(t, routes.Match("GET", "/a/3", &m))
	x, ok := m.Param("x")
	require.True(t, ok)
	require.Equal(t, "3", x)
	_, ok = m.Param("z")
	require.False(t, ok)
	for _, path := range []string{"/nothing", "/a/%zz"} {
		require.NoError(t, routes.Match("GET", "/b/1/2", &m))
		require.Error(t, routes.Match("GET", path, &m))
		require.Nil(t, m.Operation)
		_, ok = m.Param("y")
		require.False(t, ok)
	}
}

func TestMatch_needsNoMemory(t *testing.T) {
	routes, err := table("GET /a/{x}", "GET /a/b", "PUT /a/{x}/c")
	require.NoError(t, err)
	var m Match
	for _, path := range []string{"/a/b", "/a/1", "/a/1.2", "/nothing", "/a/b/c", "/a//b", "/a/ b"} {
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = routes.Match("GET", path, &m) }), path)
	}
}

func TestNewTable_boundsTheParametersOfAPath(t *testing.T) {
	path := func(n int) string {
		var out strings.Builder
		for i := range n {
			fmt.Fprintf(&out, "/{p%d}", i)
		}
		return out.String()
	}
	routes, err := table("GET " + path(maxPathParameters))
	require.NoError(t, err)
	m, err := match(routes, "GET", strings.Repeat("/x", maxPathParameters))
	require.NoError(t, err)
	last, ok := m.Param(fmt.Sprintf("p%d", maxPathParameters-1))
	require.True(t, ok)
	require.Equal(t, "x", last)
	_, err = table("GET " + path(maxPathParameters+1))
	require.Error(t, err)
}

func TestMatch_findsGetForHead(t *testing.T) {
	routes, err := table("GET /a", "GET /b", "HEAD /b")
	require.NoError(t, err)
	m, err := match(routes, "HEAD", "/a")
	require.NoError(t, err)
	require.Equal(t, "GET /a", m.Operation.ID)
	m, err = match(routes, "HEAD", "/b")
	require.NoError(t, err)
	require.Equal(t, "HEAD /b", m.Operation.ID)
}

func TestNewTable_refusesAmbiguity(t *testing.T) {
	for _, lines := range [][]string{
		{"GET /a/{x}", "POST /a/{y}"},
		{"GET /a/{x}.csv", "GET /a/{y}.csv"},
		{"GET /a", "GET /a"},
		{"GET /a/{x}{y}"}, {"GET /a/{x"}, {"GET /a/{}"}, {"GET /a//b"}, {"GET /a//"}, {"GET /a/../b"}, {"GET /a b"}, {"GET a"},
	} {
		_, err := table(lines...)
		require.Error(t, err, lines)
	}
}

// referenceMatch is the definition of matching, slow and simple: among the operations whose segments all match, the one whose first differing segment
// is more literal.
func referenceMatch(paths []string, path string) string {
	best, bestKey := "", ""
	got := strings.Split(path[1:], "/")
	for _, p := range paths {
		want := strings.Split(p[1:], "/")
		if len(want) != len(got) {
			continue
		}
		key, fits := "", true
		for i, w := range want {
			prefix, rest, isTemplate := strings.Cut(w, "{")
			if !isTemplate {
				fits = fits && w == got[i]
				key += "~"
				continue
			}
			_, suffix, _ := strings.Cut(rest, "}")
			fits = fits && strings.HasPrefix(got[i], prefix) && strings.HasSuffix(got[i], suffix) && len(got[i]) > len(prefix)+len(suffix)
			key += string(rune('A' + len(prefix) + len(suffix)))
		}
		if fits && key > bestKey {
			best, bestKey = p, key
		}
	}
	return best
}

var fuzzPaths = []string{"/", "/a", "/a/{x}", "/a/special", "/a/{x}.csv", "/a/{x}/b", "/a/special/c", "/{x}/z/q", "/{x}/{y}/{z}", "/b/{x}:undelete"}

func FuzzMatch(f *testing.F) {
	for _, p := range []string{"/", "/a", "/a/1", "/a/special", "/a/1.csv", "/a/x/b", "/a/z/q", "/1/2/3", "/a/%2e%2e", "/a/%00", "//", "/b/1:undelete", "/a/%zz"} {
		f.Add(p)
	}
	var lines []string
	for _, p := range fuzzPaths {
		lines = append(lines, "GET "+p)
	}
	routes, err := table(lines...)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		m, err := match(routes, http.MethodGet, path)
		if err != nil {
			code := problem.From(err).Code
			if code != problem.NotFound && code != problem.MalformedTarget {
				t.Fatalf("%q: unexpected %v", path, err)
			}
			return
		}
		if want := referenceMatch(fuzzPaths, path); m.Operation.Path != want {
			t.Fatalf("%q matched %s, the reference says %s", path, m.Operation.Path, want)
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("%q matched, but cannot be decoded", path)
		}
		if strings.Contains(decoded, "/../") || strings.Contains(decoded, "//") || strings.ContainsRune(decoded, 0) {
			t.Fatalf("%q matched, but is read differently by others", path)
		}
	})
}
