package search

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// door starts the engine as a server of its own and returns its URL; stop ends it and returns its error.
func door(t *testing.T, c TypesenseConfig) (base string, stop func() error) {
	t.Helper()
	c.Addr, c.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- ServeTypesense(ctx, c, func(addr string) { ready <- addr }) }()
	select {
	case addr := <-ready:
		return "http://" + addr, func() error { cancel(); return <-done }
	case err := <-done:
		cancel()
		require.NoError(t, err)
		panic("it ended by itself")
	}
}

func ask(t *testing.T, method, url, key, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if key != "" {
		r.Header.Set("X-TYPESENSE-API-KEY", key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(b)
}

func TestServeTypesense_makesAKeyOnceAndKeepsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	c := TypesenseConfig{DataDir: filepath.Join(dir, "data"), KeyFile: filepath.Join(dir, "key")}
	base, stop := door(t, c)
	info, err := os.Stat(c.KeyFile)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	body, err := os.ReadFile(c.KeyFile)
	require.NoError(t, err)
	key := strings.TrimSpace(string(body))
	for _, wrong := range []string{"", "wrong", key + "x"} {
		answer, _ := ask(t, "GET", base+"/collections", wrong, "")
		require.Equal(t, 401, answer.StatusCode)
	}
	answer, text := ask(t, "GET", base+"/health", "", "")
	require.Equal(t, 200, answer.StatusCode)
	require.JSONEq(t, `{"ok":true}`, text)
	answer, text = ask(t, "POST", base+"/collections", key, `{"name":"c","fields":[{"name":"s","type":"string"}]}`)
	require.Equal(t, 201, answer.StatusCode, text)
	answer, text = ask(t, "POST", base+"/keys", key, `{"description":"search","actions":["documents:search"],"collections":["c"],"value":"created-search-key"}`)
	require.Equal(t, 201, answer.StatusCode, text)
	require.ErrorIs(t, ServeTypesense(t.Context(), TypesenseConfig{Addr: "127.0.0.1:0", DataDir: c.DataDir, KeyFile: c.KeyFile, Log: slog.New(slog.DiscardHandler)}, func(string) {}), ErrEngineLocked)
	require.NoError(t, stop())

	base, stop = door(t, c)
	answer, _ = ask(t, "GET", base+"/collections/c", key, "")
	require.Equal(t, 200, answer.StatusCode, "the key and the collection are those of before")
	answer, _ = ask(t, "GET", base+"/collections/c/documents/search?q=*", "created-search-key", "")
	require.Equal(t, 200, answer.StatusCode)
	answer, _ = ask(t, "DELETE", base+"/collections/c", "created-search-key", "")
	require.Equal(t, 401, answer.StatusCode)
	require.NoError(t, stop())
}

func TestServeTypesense_refusesAKeyThatCanBeGuessed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("xyz\n"), 0o600))
	err := ServeTypesense(t.Context(), TypesenseConfig{Addr: "127.0.0.1:0", DataDir: t.TempDir(), KeyFile: file, Log: slog.New(slog.DiscardHandler)}, func(string) {})
	require.ErrorContains(t, err, "at least 16 bytes")
	require.NotContains(t, err.Error(), "xyz")
}

func TestServeTypesense_answersPagesOfTheSetOriginsAlone(t *testing.T) {
	preflight := []string{"Origin", "https://shop.example.org", "Access-Control-Request-Method", "POST"}
	for _, c := range []struct {
		origins []string
		status  int
		allowed string
	}{{nil, 404, ""}, {[]string{"https://shop.example.org"}, 204, "https://shop.example.org"}, {[]string{"https://other.example.org"}, 204, ""}, {[]string{"*"}, 204, "*"}} {
		dir := t.TempDir()
		base, stop := door(t, TypesenseConfig{DataDir: filepath.Join(dir, "data"), KeyFile: filepath.Join(dir, "key"), CORSOrigins: c.origins})
		answer, _ := ask(t, "OPTIONS", base+"/multi_search", "", "", preflight...)
		require.Equal(t, c.status, answer.StatusCode, c.origins)
		require.Equal(t, c.allowed, answer.Header.Get("Access-Control-Allow-Origin"), c.origins)
		require.NoError(t, stop())
	}
}
