package gateway

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

const (
	sessionCookie  = "__Host-fountain-session"
	browserRefresh = "/kms/v1/auth/browser-session/refresh"
)

// A browser sends its session cookie with every request to this host. Only two operations get it, and no adopted service does, whatever it declares.
func TestCookie_ofASessionReachesTwoOperationsAlone(t *testing.T) {
	h := memberHouse(t)
	var declared []string
	for _, c := range family(t) {
		for _, op := range c.Operations {
			for _, name := range op.Cookies() {
				declared = append(declared, op.ID+" "+name)
			}
		}
	}
	require.ElementsMatch(t, []string{"refreshBrowserSession " + sessionCookie, "logoutUser " + sessionCookie}, declared)

	sent := []string{"Cookie", "a=b; " + sessionCookie + "=rt_1; session=c", "Authorization", "Bearer " + h.token(func(c *auth.Claims) { c.Scope += " session:manage" })}
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == browserRefresh || r.URL.Path == "/kms/v1/auth/logout" {
			w.Header().Set("Set-Cookie", sessionCookie+"=; Path=/; Max-Age=0")
		}
		w.WriteHeader(http.StatusNoContent)
	}
	for path, want := range map[string][]string{
		browserRefresh:         {sessionCookie + "=rt_1"},
		"/kms/v1/auth/logout":  {sessionCookie + "=rt_1"},
		"/kms/v1/auth/login":   nil,
		"/kms/v1/auth/refresh": nil,
		createPath:             nil,
	} {
		h.seen = nil
		body := map[string]string{browserRefresh: "{}", "/kms/v1/auth/login": `{"username":"ada","password":"x","refreshIn":"cookie"}`,
			"/kms/v1/auth/refresh": `{"refreshToken":"rt_1"}`, createPath: createBody}[path]
		a := h.do("POST", path, body, append(sent, "Origin", h.gate.URL)...)
		require.Len(t, h.seen, 1, "%s: %d %s", path, a.StatusCode, a.Text)
		require.Equal(t, want, h.seen[0].Header["Cookie"], path)
		if want != nil {
			require.Equal(t, http.StatusNoContent, a.StatusCode, a.Text)
			require.Len(t, a.Header.Values("Set-Cookie"), 1, path)
		} else {
			require.Empty(t, a.Header.Values("Set-Cookie"), path)
		}
	}

	h.seen = nil
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", sessionCookie+"=evil; Path=/; Secure")
		_, _ = io.WriteString(w, `["a"]`)
	}
	a := h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil), sent[0], sent[1])
	require.Equal(t, 200, a.StatusCode, a.Text)
	require.Equal(t, []string{"session=c"}, h.seen[0].Header["Cookie"])
	require.Empty(t, a.Header.Values("Set-Cookie"))
}

// The gateway refuses requests that no page of our origin sends; the kms checks which page it is.
func TestCookie_isLookedAtForPagesOfOurOriginAlone(t *testing.T) {
	h := newHouse(t)
	pair := sessionCookie + "=rt_1"
	for name, c := range map[string]struct {
		method, body string
		status       int
		header       []string
	}{
		"no origin":               {"POST", "{}", 400, []string{"Cookie", pair}},
		"a null origin":           {"POST", "{}", 400, []string{"Cookie", pair, "Origin", "null"}},
		"another site":            {"POST", "{}", 400, []string{"Cookie", pair, "Origin", h.gate.URL, "Sec-Fetch-Site", "cross-site"}},
		"two cookies of the name": {"POST", "{}", 400, []string{"Cookie", pair + "; " + pair, "Origin", h.gate.URL}},
		"GET":                     {"GET", "", 405, []string{"Cookie", pair, "Origin", h.gate.URL}},
		"no body":                 {"POST", "", 400, []string{"Cookie", pair, "Origin", h.gate.URL}},
		"a form":                  {"POST", "{}", 415, []string{"Cookie", pair, "Origin", h.gate.URL, "Content-Type", "text/plain"}},
	} {
		require.Equal(t, c.status, h.do(c.method, browserRefresh, c.body, c.header...).StatusCode, name)
	}
	require.Empty(t, h.seen, "nothing may reach the kms")
	h.upstream = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	require.Equal(t, 204, h.do("POST", browserRefresh, "{}", "Cookie", pair, "Origin", "https://evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https").StatusCode)
	require.Equal(t, []string{"https://evil.example"}, h.seen[0].Header["Origin"])
	require.Equal(t, h.gate.URL, h.seen[0].Header.Get("X-Forwarded-Proto")+"://"+h.seen[0].Header.Get("X-Forwarded-Host"), "no stranger says to whom it was sent")
}
