// Package searchtest provides tests with a Typesense server that several search services can share: the embedded engine over HTTP.
package searchtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
)

// Typesense starts a server on loopback that accepts the given key, and stops it at the end of the test. It returns the base URL.
func Typesense(t *testing.T, key string) string {
	t.Helper()
	engine, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	require.NoError(t, engine.WaitReady(t.Context()))
	server := httptest.NewServer(api.New(engine, api.Options{Key: func(given string) bool { return given == key }}))
	t.Cleanup(server.Close)
	return server.URL
}

// These variables name a Typesense server for tests, and its admin key. Each test deletes everything on the server.
const (
	urlVariable = "FOUNTAIN_TEST_TYPESENSE_URL"
	keyVariable = "FOUNTAIN_TEST_TYPESENSE_KEY"
)

// Elsewhere reports whether tests use a Typesense server in another process.
func Elsewhere() bool { return os.Getenv(urlVariable) != "" }

// Engine returns an engine that accepts any key: the server in FOUNTAIN_TEST_TYPESENSE_URL, which is wiped, or an embedded one that is
// closed at the end of the test.
func Engine(t *testing.T) http.Handler {
	t.Helper()
	if Elsewhere() {
		return elsewhere(t)
	}
	local, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, local.Close()) })
	require.NoError(t, local.WaitReady(t.Context()))
	return api.New(local, api.Options{Key: func(string) bool { return true }})
}

func elsewhere(t *testing.T) http.Handler {
	to, err := url.Parse(os.Getenv(urlVariable))
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Set("X-Typesense-Api-Key", os.Getenv(keyVariable))
	}}
	wipe(t, proxy)
	return proxy
}

// wipe deletes what tests create. Kinds that the server does not support are skipped.
func wipe(t *testing.T, server http.Handler) {
	t.Helper()
	ask := func(method, path string) (int, string) {
		done := httptest.NewRecorder()
		server.ServeHTTP(done, httptest.NewRequest(method, path, nil))
		body, err := io.ReadAll(done.Result().Body)
		require.NoError(t, err)
		return done.Code, string(body)
	}
	status, body := ask(http.MethodGet, "/collections")
	require.Equal(t, http.StatusOK, status, "%s: %s", urlVariable, body)
	for _, kind := range []string{"aliases", "collections", "synonym_sets", "curation_sets", "stopwords", "keys"} {
		status, body := ask(http.MethodGet, "/"+kind)
		if status == http.StatusNotFound {
			continue
		}
		require.Equal(t, http.StatusOK, status, body)
		var list []map[string]any
		if !strings.HasPrefix(body, "[") {
			var wrapped map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(body), &wrapped))
			body = string(wrapped[kind])
		}
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&list))
		for _, one := range list {
			name, named := one["name"].(string)
			if id, ok := one["id"].(string); !named && ok {
				name = id
			} else if id, ok := one["id"].(json.Number); !named && ok {
				name = id.String()
			}
			status, body := ask(http.MethodDelete, "/"+kind+"/"+url.PathEscape(name))
			require.Equal(t, http.StatusOK, status, body)
		}
	}
}
