package twofactor

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/console"
	"github.com/fountainai/fountain/internal/store"
)

// The page and its files need no token, restrict what they may load, and are cached by browsers until they change.
func TestPage_isServedWithItsFiles(t *testing.T) {
	w := newWorld(t)
	w.start(t, store.Config{Dir: t.TempDir()})
	w.WaitReady(t)
	page := w.call(t, nil, "GET", "/enroll", "")
	require.Equal(t, http.StatusOK, page.Status)
	require.Equal(t, "text/html", page.Header.Get("Content-Type"))
	require.Equal(t, console.CSP, page.Header.Get("Content-Security-Policy"))
	require.Equal(t, http.StatusNotModified, w.call(t, nil, "GET", "/enroll", "", "If-None-Match", page.Header.Get("ETag")).Status)
	for name, mediaType := range map[string]string{"signin.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"} {
		asset := w.call(t, nil, "GET", "/assets/"+name, "")
		require.Equal(t, http.StatusOK, asset.Status, name)
		require.Equal(t, mediaType, asset.Header.Get("Content-Type"), name)
		require.Equal(t, http.StatusNotModified, w.call(t, nil, "GET", "/assets/"+name, "", "If-None-Match", asset.Header.Get("ETag")).Status, name)
	}
	for _, name := range []string{"nothing.js", "enroll.html", "console.go"} {
		refused(t, w.call(t, nil, "GET", "/assets/"+name, ""), 404, "not_found")
	}
}
