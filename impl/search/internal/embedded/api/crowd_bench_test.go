package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// BenchmarkCrowd lets 64 clients search at once, over HTTP, for a word that every document has. Each requests a number of answers, and
// retries after the time that a refusal gives. It fails if a client gets neither an answer nor a Retry-After. BENCH_DOCS sets the number of
// documents.
//
//	BENCH_DOCS=100000 go test -run '^$' -bench Crowd -benchtime 20x ./impl/search/internal/embedded/api
func BenchmarkCrowd(b *testing.B) {
	docs := 2_000
	if n, err := strconv.Atoi(os.Getenv("BENCH_DOCS")); err == nil {
		docs = n
	}
	e := open(b, b.TempDir(), embedded.Limits{})
	defer e.Close()
	server := httptest.NewServer(e)
	defer server.Close()
	must(b, e, 201, "POST", "/collections", figureSchema)
	list := drawFigures(docs).docs
	for chunk := range slices.Chunk(list, 1000) {
		must(b, e, 200, "POST", "/collections/x/documents/import", string(lines(chunk)))
	}
	for _, kind := range []struct{ name, params string }{{"everything", "q=*&facet_by=kind"}, {"everything in order", "q=*&facet_by=kind&sort_by=year:desc"}} {
		for _, clients := range []int{1, 64} {
			b.Run(kind.name+"/clients "+strconv.Itoa(clients), func(b *testing.B) { crowd(b, server.URL+"/collections/x/documents/search?"+kind.params, clients) })
		}
	}
}

// crowd makes clients get b.N answers each.
func crowd(b *testing.B, target string, clients int) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var mu sync.Mutex
	var group sync.WaitGroup
	var took []time.Duration
	refused := 0
	cpu := cpuTime()
	b.ResetTimer()
	for range clients {
		group.Go(func() {
			for left := b.N; left > 0; {
				began := time.Now()
				status, again := asks(b, client, target)
				mu.Lock()
				if status == 200 {
					took = append(took, time.Since(began))
					left--
				} else {
					refused++
				}
				mu.Unlock()
				if status != 200 {
					time.Sleep(again)
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	spent := cpuTime() - cpu
	require.Len(b, took, clients*b.N)
	slices.Sort(took)
	b.ReportMetric(float64(spent.Microseconds())/1000/float64(len(took)), "cpu-ms/answer")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "slowest-ms")
	b.ReportMetric(float64(refused)/float64(len(took)), "refused/answer")
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "answers/s")
}

// asks returns the status of an answer, and, for a refusal, the time until the retry.
func asks(b *testing.B, client *http.Client, target string) (status int, again time.Duration) {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
	if err != nil {
		b.Error(err)
		return 200, 0
	}
	r.Header.Set("X-TYPESENSE-API-KEY", testKey)
	res, err := client.Do(r)
	if err != nil {
		b.Error(err)
		return 200, 0
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	seconds, said := strconv.Atoi(res.Header.Get("Retry-After"))
	switch {
	case err != nil, res.StatusCode != 200 && (res.StatusCode != 503 || said != nil), res.StatusCode == 200 && !strings.Contains(string(body), `"found"`):
		b.Errorf("status %d, %v, %.100s", res.StatusCode, err, body)
	case res.StatusCode == 503:
		return 503, time.Duration(seconds) * time.Second
	}
	return 200, 0
}
