package search

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
)

// turns measures the CPU time of the process (client, server and kernel together) for one call of each way, alternating between the ways
// after this many calls. The figure is the median, because the machine is shared.
func turns(b *testing.B, calls int, ways []way) map[string]float64 {
	took := make([]medians, len(ways))
	b.ResetTimer()
	for range b.N {
		for i, w := range ways {
			before := cpu(b)
			for range calls {
				w.do()
			}
			took[i] = append(took[i], float64((cpu(b)-before).Nanoseconds())/1000/float64(calls))
		}
	}
	out := map[string]float64{}
	for i, w := range ways {
		out[w.name] = took[i].middle()
	}
	return out
}

type way struct {
	name string
	do   func()
}

// BenchmarkRelay measures the CPU time of a search with a remote engine: through the service, through a tuned httputil.ReverseProxy in its
// place, and directly. The engine answers with the same bytes each time, so that the figures include its HTTP but not its work.
func BenchmarkRelay(b *testing.B) {
	local, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer local.Close()
	require.NoError(b, local.WaitReady(context.Background()))
	engine := api.New(local, api.Options{Key: func(string) bool { return true }})
	var recorded atomic.Pointer[[]byte]
	remote := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := recorded.Load()
		if answer == nil || r.URL.Path != "/multi_search" {
			engine.ServeHTTP(rw, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = rw.Write(*answer)
	}))
	defer remote.Close()

	w := benchWorld(b)
	file := filepath.Join(b.TempDir(), "key")
	require.NoError(b, os.WriteFile(file, []byte("k\n"), 0o600))
	w.settings.EngineURL, w.settings.EngineKeyFile = remote.URL, file
	w.start(b)
	w.WaitReady(b)
	admin := w.someone(b)
	w.must(b, 201, admin, "POST", "/collections", benchSchema)
	var docs []string
	for _, d := range benchDocuments(0, 1000) {
		docs = append(docs, fmt.Sprintf(`{"op":"upsert","id":"%s","document":{%s}`, d.id, d.fields))
	}
	w.must(b, 200, admin, "POST", "/collections/x/documents/sync", `{"items":[`+strings.Join(docs, ",")+`]}`)

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	answer := post(b, client, remote.URL+"/multi_search", "", benchTheirs)
	recorded.Store(&answer)
	to, err := url.Parse(remote.URL)
	require.NoError(b, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:  &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true},
		BufferPool: &buffers{},
	})
	defer proxy.Close()
	found := turns(b, 200, []way{
		{"service", func() { post(b, client, w.URL+"/search/v1/collections/x/search", admin, benchMine) }},
		{"proxy", func() { post(b, client, proxy.URL+"/multi_search", "", benchTheirs) }},
		{"direct", func() { post(b, client, remote.URL+"/multi_search", "", benchTheirs) }},
	})
	for name, us := range found {
		b.ReportMetric(us, name+"-us/search")
	}
	b.ReportMetric(found["service"]-found["proxy"], "us-over-proxy")
	b.ReportMetric(float64(len(answer)), "B/answer")
}

// buffers is a buffer pool for a proxy.
type buffers struct{ pool sync.Pool }

func (p *buffers) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *buffers) Put(b []byte) { p.pool.Put(&b) }

// BenchmarkSync measures, in turns, the CPU time of writing 1,000 documents to the engine: by a sync of the service with the embedded
// engine, as JSON and as NDJSON, and by the engine's own import over HTTP. The documents replace each other, so that the collections keep
// their size.
func BenchmarkSync(b *testing.B) {
	w := benchWorld(b)
	w.start(b)
	w.WaitReady(b)
	admin := w.someone(b)
	local, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer local.Close()
	require.NoError(b, local.WaitReady(context.Background()))
	direct := httptest.NewServer(api.New(local, api.Options{Key: func(string) bool { return true }}))
	defer direct.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for _, name := range []string{"x", "y"} {
		w.must(b, 201, admin, "POST", "/collections", strings.Replace(benchSchema, `"x"`, `"`+name+`"`, 1))
	}
	require.Contains(b, string(postFor(b, http.StatusCreated, client, direct.URL+"/collections", "", "application/json", benchSchema)), `"x"`)
	const size = 1000
	type round struct{ json, ndjson, engine string }
	rounds := make([]round, b.N) // written beforehand: the clients' work is not measured
	for i := range rounds {
		var items, lines, docs strings.Builder
		for _, d := range benchDocuments(i, size) {
			fmt.Fprintf(&items, `{"op":"upsert","id":"%s","document":{%s},`, d.id, d.fields)
			fmt.Fprintf(&lines, `{"op":"upsert","id":"%s","document":{%s}`+"\n", d.id, d.fields)
			fmt.Fprintf(&docs, `{"id":"%s",%s`+"\n", d.id, d.fields)
		}
		rounds[i] = round{`{"items":[` + strings.TrimSuffix(items.String(), ",") + `]}`, lines.String(), docs.String()}
	}
	next := map[string]int{}
	take := func(way string) round { next[way]++; return rounds[next[way]-1] }
	found := turns(b, 1, []way{
		{"json", func() { post(b, client, w.URL+"/search/v1/collections/x/documents/sync", admin, take("json").json) }},
		{"ndjson", func() {
			postFor(b, http.StatusOK, client, w.URL+"/search/v1/collections/y/documents/sync", admin, "application/x-ndjson", take("ndjson").ndjson)
		}},
		{"engine", func() {
			postFor(b, http.StatusOK, client, direct.URL+"/collections/x/documents/import?action=upsert&batch_size=1000", "", "text/plain", take("engine").engine)
		}},
	})
	for name, us := range found {
		b.ReportMetric(us/size, name+"-us/document")
	}
	b.ReportMetric(found["engine"]/found["json"], "engine/json")
	b.ReportMetric(found["engine"]/found["ndjson"], "engine/ndjson")
}
