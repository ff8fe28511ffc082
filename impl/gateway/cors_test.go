package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

const page = "https://app.example"

// withPages is a house whose gateway admits pages of app.example.
func withPages(t *testing.T) *house {
	h := newHouse(t)
	c := h.config(h.behind)
	c.CORSOrigins = []string{page}
	c.Registerer = prometheus.NewRegistry()
	require.NoError(t, c.Validate())
	g, err := build(c, family(t), http.DefaultClient, auth.NoRevocations{})
	require.NoError(t, err)
	h.gate = httptest.NewServer(g.handler())
	t.Cleanup(h.gate.Close)
	return h
}

func TestCORS_answersPreflightsFromTheContract(t *testing.T) {
	h := withPages(t)
	const versions = createPath + "/a/versions"
	for _, c := range []struct {
		name, path, origin, method string
		status                     int
		allowed                    bool
	}{
		{"a page that may", createPath, page, "POST", 204, true},
		{"a read", createPath, page, "GET", 204, true},
		{"another origin", createPath, "https://evil.example", "POST", 204, false},
		{"another scheme", createPath, "http://app.example", "POST", 204, false},
		{"another port", createPath, "https://app.example:8443", "POST", 204, false},
		{"an origin that begins alike", createPath, "https://app.example.evil.example", "POST", 204, false},
		{"a sandboxed page", createPath, "null", "POST", 204, false},
		{"a method that the path does not know", createPath, page, "DELETE", 204, false},
		{"a method that nobody knows", createPath, page, "HUNT", 204, false},
		{"a path that nobody knows", "/sequence/v1/nothing", page, "GET", 404, false},
		{"no preflight", createPath, page, "", 204, false},
	} {
		a := h.do("OPTIONS", c.path, "", "Origin", c.origin, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", "authorization,content-type,x-evil")
		require.Equal(t, c.status, a.StatusCode, c.name)
		if !c.allowed {
			for name := range a.Header {
				require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s: %s", c.name, name)
			}
			continue
		}
		require.Equal(t, page, a.Header.Get("Access-Control-Allow-Origin"), c.name)
		require.Equal(t, "GET, HEAD, OPTIONS, POST", a.Header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "600", a.Header.Get("Access-Control-Max-Age"))
		require.Empty(t, a.Header.Get("Access-Control-Allow-Credentials"))
		require.Subset(t, a.Header.Values("Vary"), []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"})
		allowed := strings.Split(a.Header.Get("Access-Control-Allow-Headers"), ", ")
		require.Subset(t, allowed, []string{"Authorization", "Content-Type"})
		require.NotContains(t, allowed, "X-Evil")
		require.Equal(t, c.method == "POST", strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key"), "as the contract declares")
	}
	a := h.do("OPTIONS", versions, "", "Origin", page, "Access-Control-Request-Method", "POST")
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "If-Match")
	a = h.do("OPTIONS", reorderPath, "", "Origin", page, "Access-Control-Request-Method", "POST")
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "X-Otp", "where the contract takes a code")
	require.NotContains(t, h.do("OPTIONS", createPath, "", "Origin", page, "Access-Control-Request-Method", "POST").Header.Get("Access-Control-Allow-Headers"), "X-Otp")
	require.Empty(t, h.seen, "no service is asked")
}

// An admitted page can read every answer, including refusals; a page of another origin can read none.
func TestCORS_opensAnswersToPagesThatMay(t *testing.T) {
	h := withPages(t)
	bearer := "Bearer " + h.token(nil)
	for _, c := range []struct {
		path, body string
		status     int
	}{{createPath, createBody, 201}, {createPath, `{}`, 422}, {createPath + "?x=1", createBody, 400}, {"/sequence/v1/nothing", "", 404}} {
		a := h.do("POST", c.path, c.body, "Authorization", bearer, "Origin", page)
		require.Equal(t, c.status, a.StatusCode, a.Text)
		require.Equal(t, []string{page}, a.Header.Values("Access-Control-Allow-Origin"))
		require.Contains(t, a.Header.Values("Vary"), "Origin")
		read := a.Header.Get("Access-Control-Expose-Headers")
		for _, name := range []string{"Etag", "Ratelimit", "Retry-After", "Www-Authenticate", "X-Request-Id"} {
			require.Contains(t, read, name)
		}
		for _, origin := range []string{"https://evil.example", "null", page + "/", page + ", https://evil.example"} {
			a = h.do("POST", c.path, c.body, "Authorization", bearer, "Origin", origin)
			require.Equal(t, c.status, a.StatusCode)
			require.Empty(t, a.Header.Values("Access-Control-Allow-Origin"), origin)
			require.Contains(t, a.Header.Values("Vary"), "Origin")
		}
	}
	for _, r := range h.seen {
		require.Empty(t, r.Header.Values("Origin"), "services know nothing of pages")
	}
}

func TestCORS_isOffByDefault(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{"OPTIONS", "POST"} {
		a := h.do(method, createPath, createBody, "Authorization", "Bearer "+h.token(nil), "Origin", page, "Access-Control-Request-Method", "POST")
		require.Empty(t, a.Header.Values("Access-Control-Allow-Origin"))
		require.Empty(t, a.Header.Values("Vary"))
	}
}

func TestCORS_takesOriginsAlone(t *testing.T) {
	c := newHouse(t).config("http://127.0.0.1:1")
	for _, origin := range []string{"*", "null", "app.example", "https://app.example/", "https://app.example/x", "https://u:p@app.example", "https://APP.example", "ftp://app.example", "https://*.example", ""} {
		c.CORSOrigins = []string{page, origin}
		require.ErrorContains(t, c.Validate(), "CORS_ORIGINS", origin)
	}
}
