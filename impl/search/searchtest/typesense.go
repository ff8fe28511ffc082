// Package searchtest gives tests a Typesense that several search services may share: the embedded engine behind HTTP, which speaks Typesense's API.
package searchtest

import (
	"net/http/httptest"
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
