package search

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// door starts the engine as a standalone server and returns its URL. stop ends it and returns its error.
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
		panic("it ended unexpectedly")
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

// Damaged documents are reported, and a repair recovers what can be read.
func TestRepairTypesense_bringsBackWhatCanBeRead(t *testing.T) {
	dir := t.TempDir()
	c := TypesenseConfig{DataDir: filepath.Join(dir, "data"), KeyFile: filepath.Join(dir, "key")}
	base, stop := door(t, c)
	key, err := os.ReadFile(c.KeyFile)
	require.NoError(t, err)
	admin := strings.TrimSpace(string(key))
	answer, body := ask(t, http.MethodPost, base+"/collections", admin, `{"name":"a","fields":[{"name":"s","type":"string"}]}`)
	require.Equal(t, 201, answer.StatusCode, body)
	var lines strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&lines, `{"id":"%d","s":"word%d %s"}`+"\n", i, i, strings.Repeat("filling ", 10))
	}
	answer, _ = ask(t, http.MethodPost, base+"/collections/a/documents/import", admin, lines.String())
	require.Equal(t, 200, answer.StatusCode)
	_, err = RepairTypesense(c.DataDir, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, ErrEngineLocked)
	require.NoError(t, stop())
	path := filepath.Join(c.DataDir, "documents.db")
	info, err := os.Stat(path)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0x5a, 0xff, 0x00, 0x91}, 8<<10), info.Size()/2&^4095)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	c.Log = slog.New(slog.DiscardHandler)
	require.ErrorIs(t, ServeTypesense(t.Context(), c, nil), ErrEngineDamaged)
	done, err := RepairTypesense(c.DataDir, c.Log)
	require.NoError(t, err)
	require.Greater(t, done.Documents, 2000)
	require.FileExists(t, done.Kept)
	base, stop = door(t, c)
	_, body = ask(t, http.MethodGet, base+"/collections/a/documents/search?q=word7&query_by=s&prefix=false&num_typos=0", admin, "")
	require.Contains(t, body, `"found":1`)
	require.NoError(t, stop())
}

// The comparison of index and documents runs while the engine is stopped, returns the number of documents, and changes nothing.
func TestCheckTypesense_comparesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	c := TypesenseConfig{DataDir: filepath.Join(dir, "data"), KeyFile: filepath.Join(dir, "key")}
	quiet := slog.New(slog.DiscardHandler)
	_, err := CheckTypesense(t.Context(), c.DataDir, quiet)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoDirExists(t, c.DataDir)

	base, stop := door(t, c)
	key, err := os.ReadFile(c.KeyFile)
	require.NoError(t, err)
	admin := strings.TrimSpace(string(key))
	for _, name := range []string{"a", "b"} {
		answer, body := ask(t, http.MethodPost, base+"/collections", admin, `{"name":"`+name+`","fields":[{"name":"s","type":"string"}]}`)
		require.Equal(t, 201, answer.StatusCode, body)
	}
	answer, _ := ask(t, http.MethodPost, base+"/collections/a/documents/import", admin, `{"id":"1","s":"one"}`+"\n"+`{"id":"2","s":"two"}`)
	require.Equal(t, 200, answer.StatusCode)
	_, err = CheckTypesense(t.Context(), c.DataDir, quiet)
	require.ErrorIs(t, err, ErrEngineLocked)
	require.NoError(t, stop())

	done, err := CheckTypesense(t.Context(), c.DataDir, quiet)
	require.NoError(t, err)
	require.Equal(t, Checked{Collections: 2, Documents: 2}, done)
	base, stop = door(t, c)
	_, body := ask(t, http.MethodGet, base+"/collections/a/documents/search?q=two&query_by=s", admin, "")
	require.Contains(t, body, `"found":1`)
	require.NoError(t, stop())
}

// The counts are in the rule's collection when the server has ended, but only if counting is enabled.
func TestServeTypesense_writesItsCountsWhenItEnds(t *testing.T) {
	for counts, want := range map[bool]string{true: `"popularity":3`, false: `"popularity":1`} {
		dir := t.TempDir()
		c := TypesenseConfig{DataDir: filepath.Join(dir, "data"), KeyFile: filepath.Join(dir, "key"), Analytics: counts, AnalyticsInterval: time.Hour}
		require.NoError(t, c.Validate())
		base, stop := door(t, c)
		key, err := os.ReadFile(c.KeyFile)
		require.NoError(t, err)
		admin := strings.TrimSpace(string(key))
		for _, request := range [][3]string{
			{http.MethodPost, "/collections", `{"name":"songs","fields":[{"name":"popularity","type":"int32"}]}`}, {http.MethodPost, "/collections/songs/documents", `{"id":"1","popularity":1}`},
			{http.MethodPut, "/analytics/rules/clicks", `{"type":"counter","params":{"source":{"collections":["songs"],"events":[{"type":"click","weight":2,"name":"clicked"}]},"destination":{"collection":"songs","counter_field":"popularity"}}}`},
			{http.MethodPost, "/analytics/events", `{"type":"click","name":"clicked","data":{"doc_id":"1"}}`},
		} {
			answer, body := ask(t, request[0], base+request[1], admin, request[2])
			require.Less(t, answer.StatusCode, 300, body)
		}
		require.NoError(t, stop())
		base, stop = door(t, c)
		_, body := ask(t, http.MethodGet, base+"/collections/songs/documents/1", admin, "")
		require.Contains(t, body, want)
		require.NoError(t, stop())
	}
}
