package services_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/services"
)

// A person who follows a broken link gets a page with further links; a program gets the problem document.
func TestUnknown_answersBrowsersAlone(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	for _, c := range []struct {
		method, accept string
		page           bool
	}{
		{http.MethodGet, browser, true}, {http.MethodGet, "text/html", true},
		{http.MethodGet, "", false}, {http.MethodGet, "*/*", false}, {http.MethodGet, "application/json, text/html;q=0.5", true},
		{http.MethodGet, "application/problem+json, text/html", false}, {http.MethodPost, browser, false}, {http.MethodHead, browser, false},
	} {
		r := httptest.NewRequest(c.method, "/nowhere", http.NoBody)
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		w := httptest.NewRecorder()
		require.Equal(t, c.page, services.Unknown(w, r), "%s %s", c.method, c.accept)
		require.Equal(t, "Accept", w.Header().Get("Vary"))
		if !c.page {
			require.Zero(t, w.Body.Len())
			continue
		}
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), `<a href="/console">`)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	}
}
