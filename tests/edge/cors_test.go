//go:build edge

package edge

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// preflight is what a browser asks before a page's request, and what may come of it.
type preflight struct {
	name, path, origin, method, header string
	allowed                            bool // the origin and the method
}

const (
	page     = "https://app.example"
	elements = "/sequence/v1/scopes/s/line/elements"
)

// preflights is every origin by every method by every header that it asks for.
func preflights() []preflight {
	var all []preflight
	for _, origin := range []string{page, "https://evil.example", "http://app.example", "https://app.example:8443", "https://app.example.evil.example", "null", ""} {
		for _, method := range []string{"POST", "GET", "DELETE", "PATCH", "HUNT", ""} {
			for _, header := range []string{"", "authorization", "authorization,content-type,idempotency-key", "x-evil", "authorization,x-evil", "x-otp", "cookie"} {
				all = append(all, preflight{
					name: strings.Join([]string{origin, method, header}, " | "), path: elements, origin: origin, method: method, header: header,
					allowed: origin == page && (method == "POST" || method == "GET"),
				})
			}
		}
	}
	return append(all,
		preflight{"a code where one is taken", "/sequence/v1/scopes/s/line/reorder", page, "POST", "x-otp", true},
		preflight{"a path that nobody knows", "/sequence/v1/nothing", page, "GET", "", false},
		preflight{"the gateway itself", "/gateway/v1/health", page, "GET", "", true},
	)
}

// Caddy answers a browser's question for no page by itself, nor does it take a word away from what the gateway says to it.
func TestEdge_answersPreflightsAsTheGatewayDoes(t *testing.T) {
	f := startFamily(t, "--cors-origins", page)
	e := startEdge(t, "localhost", f.gateway)
	through, direct := e.client(t), &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(direct.CloseIdleConnections)
	for _, p := range preflights() {
		want, alone := p.ask(t, direct, "http://"+f.gateway)
		got, edged := p.ask(t, through, strings.TrimSuffix(e.url(""), "/"))
		require.Equal(t, alone.StatusCode, edged.StatusCode, p.name)
		require.Equal(t, want, got, p.name)
		require.Equal(t, p.allowed, edged.Header.Get("Access-Control-Allow-Origin") == page, p.name)
		require.Empty(t, edged.Header.Values("Access-Control-Allow-Credentials"), "%s: a page's cookies are nobody's", p.name)
		require.NotContains(t, strings.ToLower(edged.Header.Get("Access-Control-Allow-Headers")), "evil", p.name)
		if p.allowed {
			require.NotContains(t, edged.Header.Get("Access-Control-Allow-Methods"), "DELETE", p.name)
		}
	}
}

// A page reads what came through Caddy when it may read what the gateway says, and sends no cookies.
func TestEdge_opensAnswersToPagesAsTheGatewayDoes(t *testing.T) {
	f := startFamily(t, "--cors-origins", page)
	e := startEdge(t, "localhost", f.gateway)
	through, direct := e.client(t), &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(direct.CloseIdleConnections)
	for _, path := range []string{"/gateway/v1/health", elements, "/nowhere"} {
		for _, origin := range []string{page, "https://evil.example", "null", ""} {
			p := preflight{name: path + " | " + origin, path: path, origin: origin}
			want, _ := p.send(t, direct, http.MethodGet, "http://"+f.gateway, "Cookie", "s=1")
			got, answer := p.send(t, through, http.MethodGet, strings.TrimSuffix(e.url(""), "/"), "Cookie", "s=1")
			require.Equal(t, want, got, p.name)
			require.Equal(t, origin == page, answer.Header.Get("Access-Control-Allow-Origin") == page, p.name)
			require.Empty(t, answer.Header.Values("Access-Control-Allow-Credentials"), p.name)
		}
	}
}

func (p preflight) ask(t *testing.T, c *http.Client, base string) (map[string][]string, *http.Response) {
	t.Helper()
	var header []string
	if p.method != "" {
		header = append(header, "Access-Control-Request-Method", p.method)
	}
	if p.header != "" {
		header = append(header, "Access-Control-Request-Headers", p.header)
	}
	return p.send(t, c, http.MethodOptions, base, header...)
}

// send returns the fields of the answer that tell a browser what a page may do.
func (p preflight) send(t *testing.T, c *http.Client, method, base string, header ...string) (map[string][]string, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, base+p.path, nil)
	require.NoError(t, err)
	if p.origin != "" {
		r.Header.Set("Origin", p.origin)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	said := map[string][]string{}
	for name, values := range answer.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" || name == "Allow" {
			said[name] = values
		}
	}
	return said, answer
}
