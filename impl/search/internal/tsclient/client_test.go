package tsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typesense/typesense-go/v3/typesense/api"
)

func with(t *testing.T, h http.HandlerFunc, times Deadlines) *Client {
	t.Helper()
	c, err := New("http://engine", InProcess(h), func() string { return "k" }, times)
	require.NoError(t, err)
	return c
}

func TestInProcess_streamsAndCarriesHeaders(t *testing.T) {
	release := make(chan struct{})
	doer := InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Test", r.Header.Get("X-Test"))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s:", r.Method, body)
		w.Header().Set("X-Late", "1")
		<-release
		_, _ = io.WriteString(w, "end")
	}))
	req, err := http.NewRequest("POST", "http://engine/a?b=c", strings.NewReader("in"))
	require.NoError(t, err)
	req.Header.Set("X-Test", "yes")
	resp, err := doer.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	require.Equal(t, "yes", resp.Header.Get("X-Test"))
	require.Empty(t, resp.Header.Get("X-Late"), "headers go out with the first byte")
	start := make([]byte, len("POST in:"))
	_, err = io.ReadFull(resp.Body, start)
	require.NoError(t, err)
	require.Equal(t, "POST in:", string(start), "the beginning arrives before the end is written")
	close(release)
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "end", string(rest))
}

func TestInProcess_brokenAnswersAreErrors(t *testing.T) {
	early := InProcess(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	req, err := http.NewRequest("GET", "http://engine/", nil)
	require.NoError(t, err)
	_, err = early.Do(req)
	require.ErrorIs(t, err, ErrAborted)

	late := InProcess(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}))
	resp, err := late.Do(req)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, ErrAborted, "half an answer must not look whole")
}

func TestInProcess_endsWithItsContext(t *testing.T) {
	ended := make(chan struct{})
	doer := InProcess(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(ended) }))
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://engine/", nil)
	require.NoError(t, err)
	go cancel()
	_, err = doer.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	<-ended
}

func TestClient_deadlinesAreTheCallsOwn(t *testing.T) {
	c := with(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Deadlines{Search: time.Millisecond})
	_, err := c.Collections(context.Background())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, ErrUnavailable)
}

func TestClient_readsEveryImportLine(t *testing.T) {
	answer := "{\"success\":true}\n{\"success\":false,\"code\":409,\"error\":\"taken\"}"
	c := with(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != "{\"id\":\"1\"}\n{\"id\":\"2\"}" || r.URL.Query().Get("action") != "create" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, answer)
	}, Deadlines{})
	docs := [][]byte{[]byte(`{"id":"1"}`), []byte(`{"id":"2"}`)}
	lines, err := c.Import(context.Background(), "c", api.Create, docs)
	require.NoError(t, err)
	require.Equal(t, []ImportLine{{Success: true}, {Code: 409, Error: "taken"}}, lines)
	for _, broken := range []string{"{\"success\":true}", "nonsense", ""} {
		answer = broken
		_, err = c.Import(context.Background(), "c", api.Create, docs)
		var refused *Error
		require.True(t, errors.As(err, &refused), "%q: %v", broken, err)
		require.Equal(t, http.StatusBadGateway, refused.Status)
	}
}

func TestClient_searchKeepsDocumentsAsBytes(t *testing.T) {
	c := with(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.RawQuery != "" || !strings.Contains(string(body), `"q":"secret words"`) || r.Header.Get("X-TYPESENSE-API-KEY") != "k" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("X-Search-Engine", "embedded")
		_, _ = io.WriteString(w, `{"results":[{"found":1,"hits":[{"document":{"n":9007199254740993},"text_match":578730123365187705}]}]}`)
	}, Deadlines{})
	r, err := c.Search(context.Background(), "c", map[string]any{"q": "secret words"})
	require.NoError(t, err)
	require.Equal(t, `{"n":9007199254740993}`, string(r.Hits[0].Document))
	require.Equal(t, "578730123365187705", r.Hits[0].TextMatch.String())
	require.True(t, r.Embedded)
}

func TestClient_deletesManyDocumentsInOneCall(t *testing.T) {
	c := with(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete || r.URL.Path != "/collections/c/documents" || r.URL.Query().Get("filter_by") != "id:=[`1`,`a:b`]" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, `{"num_deleted":1}`)
	}, Deadlines{})
	n, err := c.DeleteDocuments(context.Background(), "c", "id:=[`1`,`a:b`]", 2)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	c = with(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, Deadlines{})
	_, err = c.DeleteDocuments(context.Background(), "c", "n:1", 2)
	require.ErrorIs(t, err, error(errBadAnswer), "nobody knows what was deleted")
}

// As the last segment of a path, a dot segment means the collection: deleting a document called ".." would delete the collection.
func TestClient_sendsNoDotSegment(t *testing.T) {
	c, err := New("http://embedded", InProcess(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent", r.Method, r.URL) })), func() string { return "k" }, Deadlines{})
	require.NoError(t, err)
	for _, id := range []string{"", ".", ".."} {
		var refused *Error
		_, err := c.Document(t.Context(), "plays", id)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusNotFound, refused.Status)
		require.ErrorAs(t, c.DeleteDocument(t.Context(), "plays", id), &refused)
		require.Equal(t, http.StatusNotFound, refused.Status)
	}
}
