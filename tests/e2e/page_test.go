package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// A browser gets the page and its files through the gateway with all their security headers, can revalidate its copy,
// and gets nothing else there.
func TestPage_comesWithItsPolicyAndIsKeptByItsTag(t *testing.T) {
	f := harness.Start(t)
	client := recorder.New(t, nil).Client()
	ask := func(method, path, tag string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, f.Info.GatewayURL+"/twofactor/v1"+path, nil)
		require.NoError(t, err)
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		answer, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer
	}
	for path, mediaType := range map[string]string{"/enroll": "text/html", "/assets/main.js": "text/javascript", "/assets/page.css": "text/css", "/assets/icon.svg": "image/svg+xml"} {
		answer := ask(http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
		require.Equal(t, mediaType, answer.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-cache", answer.Header.Get("Cache-Control"))
		tag := answer.Header.Get("ETag")
		require.Equal(t, http.StatusNotModified, ask(http.MethodGet, path, tag).StatusCode, path)
		require.Equal(t, http.StatusOK, ask(http.MethodGet, path, `"another"`).StatusCode, path)
		require.Equal(t, strings.TrimSuffix(strings.TrimSuffix(tag, `"`), "-gzip")+`"`, strings.TrimSuffix(ask(http.MethodHead, path, "").Header.Get("ETag"), `"`)+`"`, "but for the form of a front that compresses")
	}
	page := ask(http.MethodGet, "/enroll", "").Header
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		require.Contains(t, page.Get("Content-Security-Policy"), part)
	}
	require.Equal(t, "no-referrer", page.Get("Referrer-Policy"))
	require.Equal(t, "same-origin", page.Get("Cross-Origin-Opener-Policy"))
	for _, path := range []string{"/assets/enroll.html", "/assets/console.go", "/assets/main.js.map", "/enroll/main.js"} {
		require.Equal(t, http.StatusNotFound, ask(http.MethodGet, path, "").StatusCode, path)
	}
	require.Equal(t, http.StatusMethodNotAllowed, ask(http.MethodPost, "/enroll", "").StatusCode, "what is typed is never sent by the form itself")
}
