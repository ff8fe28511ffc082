// Package searchtest gives tests a Typesense that several search services may share: the embedded engine behind HTTP, which speaks Typesense's API.
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

// Typesense starts one on loopback that takes the key given, and ends it with the test. It returns its base URL.
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

// The Typesense that tests use where there is one, and its admin key. It is wiped by each test: everything on it is lost.
const (
	urlVariable = "FOUNTAIN_TEST_TYPESENSE_URL"
	keyVariable = "FOUNTAIN_TEST_TYPESENSE_KEY"
)

// Elsewhere reports whether tests use a Typesense of another process.
func Elsewhere() bool { return os.Getenv(urlVariable) != "" }

// Engine is an engine that takes any key: the Typesense of FOUNTAIN_TEST_TYPESENSE_URL, which is wiped, or an embedded one that ends with the test.
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

// wipe removes what tests make. What a server does not have it has nothing of.
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
