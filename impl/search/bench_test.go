package search

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/telemetry"
)

// BenchmarkSearch measures the CPU time of the process (client, server and kernel together) for one search with ten hits, a filter and a
// facet. The searches run one after the other on one connection, in turns: the service with the embedded engine, the engine's handler
// served by net/http alone, the engine's handler without HTTP, and a handler that reads the same request and writes the same answer.
func BenchmarkSearch(b *testing.B) {
	w := benchWorld(b)
	w.start(b)
	w.WaitReady(b)
	admin := w.someone(b)
	opened, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer opened.Close()
	require.NoError(b, opened.WaitReady(context.Background()))
	engine := api.New(opened, api.Options{Key: func(string) bool { return true }})
	fill(b, w, engine, admin)

	direct := httptest.NewServer(engine)
	defer direct.Close()
	client := &http.Client{}
	answer := post(b, client, w.URL+"/search/v1/collections/x/search", admin, benchMine)
	bare := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(answer)
	}))
	defer bare.Close()
	found := turns(b, 50, []way{
		{"service", func() { post(b, client, w.URL+"/search/v1/collections/x/search", admin, benchMine) }},
		{"engine-http", func() { post(b, client, direct.URL+"/multi_search", "", benchTheirs) }},
		{"engine", func() {
			r := httptest.NewRequest(http.MethodPost, "/multi_search", strings.NewReader(benchTheirs))
			r.Header.Set("X-Typesense-Api-Key", "k")
			engine.ServeHTTP(httptest.NewRecorder(), r)
		}},
		{"bare-http", func() { post(b, client, bare.URL, "", benchMine) }},
	})
	for name, us := range found {
		b.ReportMetric(us, name+"-us/search")
	}
	b.ReportMetric(found["engine-http"]/found["service"], "engine-http/service")
	b.ReportMetric(float64(len(answer)), "B/answer")
}

// benchWorld returns a world whose service logs as the program does, but to the null device.
func benchWorld(b *testing.B) *world {
	w := newWorld(b, store.Config{})
	nobody, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(b, err)
	log, end := telemetry.NewBatchedLogger(nobody, slog.LevelInfo)
	b.Cleanup(func() { end(); _ = nobody.Close() })
	w.settings.Log = log
	return w
}

// cpu returns the CPU time that the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func post(b *testing.B, client *http.Client, url, token, body string) []byte {
	return postFor(b, http.StatusOK, client, url, token, "application/json", body)
}

func postFor(b *testing.B, status int, client *http.Client, url, token, mediaType, body string) []byte {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(b, err)
	r.Header.Set("Content-Type", mediaType)
	r.Header.Set("X-Typesense-Api-Key", "k")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	require.NoError(b, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b, err)
	require.Equal(b, status, resp.StatusCode, string(text))
	return text
}

// The schema, and one search in the formats of the service and of the engine.
const (
	benchSchema = `{"name":"x","fields":[{"name":"title","type":"string"},{"name":"body","type":"string"},{"name":"kind","type":"string","facet":true},{"name":"year","type":"int32"}]}`
	benchMine   = `{"q":"w25x w30x","queryBy":["title","body"],"filterBy":"year:>1950","facetBy":["kind"],"perPage":10}`
	benchTheirs = `{"searches":[{"collection":"x","q":"w25x w30x","query_by":"title,body","filter_by":"year:>1950","facet_by":"kind","per_page":10}]}`
)

// benchDocument is a document: its ID, and its other members with the closing brace.
type benchDocument struct{ id, fields string }

// benchDocuments returns n documents with words from a Zipf distribution. Their IDs are the same for every seed.
func benchDocuments(seed, n int) []benchDocument {
	r := rand.New(rand.NewPCG(1, uint64(2+seed)))
	zipf := rand.NewZipf(r, 1.1, 20, 2_000)
	words := func(n int) string {
		var t strings.Builder
		for range n {
			fmt.Fprintf(&t, "w%dx ", zipf.Uint64())
		}
		return t.String()
	}
	out := make([]benchDocument, n)
	for i := range out {
		out[i] = benchDocument{fmt.Sprint(i), fmt.Sprintf(`"title":"%s","body":"%s","kind":"k%d","year":%d}`, words(6), words(30), r.IntN(20), 1900+r.IntN(120))}
	}
	return out
}

// fill writes the same 10,000 documents to the service and to the separate engine.
func fill(b *testing.B, w *world, engine http.Handler, admin string) {
	w.must(b, 201, admin, "POST", "/collections", benchSchema)
	put := func(path, body string) {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("X-Typesense-Api-Key", "k")
		rec := httptest.NewRecorder()
		engine.ServeHTTP(rec, r)
		require.Less(b, rec.Code, 300)
	}
	put("/collections", benchSchema)
	for some := range slices.Chunk(benchDocuments(0, 10_000), 1000) {
		var docs []string
		var lines bytes.Buffer
		for _, d := range some {
			docs = append(docs, fmt.Sprintf(`{"op":"upsert","id":"%s","document":{%s}`, d.id, d.fields))
			fmt.Fprintf(&lines, `{"id":"%s",%s`+"\n", d.id, d.fields)
		}
		w.must(b, 200, admin, "POST", "/collections/x/documents/sync", `{"items":[`+strings.Join(docs, ",")+`]}`)
		put("/collections/x/documents/import?action=upsert", lines.String())
	}
}

// medians are the figures of all turns.
type medians []float64

func (m medians) middle() float64 {
	sorted := slices.Sorted(slices.Values(m))
	return sorted[len(sorted)/2]
}
