package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"
	_ "github.com/blevesearch/bleve/v2/analysis/analyzer/simple"
	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// BenchmarkFigures prints the figures of docs/performance.md: the engine over HTTP, and, in the same run, Bleve on the same documents
// inside the process. BENCH_DOCS sets the number of documents (default 20,000).
//
//	BENCH_DOCS=100000 go test -run '^$' -bench Figures -benchtime 1x -timeout 30m ./impl/search/internal/embedded/api
func BenchmarkFigures(b *testing.B) {
	docs := 20_000
	if n, err := strconv.Atoi(os.Getenv("BENCH_DOCS")); err == nil {
		docs = n
	}
	f := drawFigures(docs)
	b.Run("engine", func(b *testing.B) { f.engine(b) })
	b.Run("bleve", func(b *testing.B) { f.bleve(b) })
}

// figureDocument is a document of the figures: a title of 4 words and a body of 30 from a Zipf vocabulary, two numbers and a facet.
type figureDocument struct {
	ID    string  `json:"id"`
	Title string  `json:"title"`
	Body  string  `json:"body"`
	Kind  string  `json:"kind"`
	Year  int     `json:"year"`
	Price float64 `json:"price"`
}

const figureSchema = `{"name":"x","fields":[{"name":"title","type":"string"},{"name":"body","type":"string"},{"name":"kind","type":"string","facet":true},{"name":"year","type":"int32"},{"name":"price","type":"float"}]}`

type figures struct {
	words []string // the commonest first
	docs  []figureDocument
}

func drawFigures(n int) *figures {
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ka lo mi tu ra se no vi pa do fe gu li mo na ru ta ve zo bi")
	f := &figures{words: make([]string, 20_000), docs: make([]figureDocument, n)}
	for i := range f.words {
		w := ""
		for range 2 + r.IntN(3) {
			w += syllables[r.IntN(len(syllables))]
		}
		f.words[i] = w + string(rune('a'+i%26))
	}
	zipf := rand.NewZipf(r, 1.1, 20, uint64(len(f.words)-1))
	text := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = f.words[zipf.Uint64()]
		}
		return strings.Join(list, " ")
	}
	for i := range f.docs {
		f.docs[i] = figureDocument{strconv.Itoa(i), text(4), text(30), "kind" + strconv.Itoa(r.IntN(20)), 1900 + r.IntN(125), float64(r.IntN(10000)) / 100}
	}
	return f
}

// queries returns the kinds of searches. Each returns the q of round i.
func (f *figures) queries() map[string]func(i int) string {
	middle := f.words[200:2200] // neither everywhere nor nowhere
	return map[string]func(i int) string{
		"typo+filter+facet": func(i int) string { w := middle[i*7%len(middle)]; return w[:2] + "x" + w[3:] },
		"common word":       func(i int) string { return f.words[i%20] },
		"two-letter prefix": func(i int) string { return f.words[i%200][:2] },
		"two words":         func(i int) string { return f.words[i%50] + " " + middle[i%len(middle)] },
		"two common words":  func(i int) string { return f.words[i%10] + " " + f.words[10+i%10] },
		"all by a field":    func(int) string { return "*" },
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residents returns the resident memory of the process in MiB: anonymous memory, and that of mapped files.
func residents() (anon, file int) {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			anon = kib >> 10
		}
		if n, _ := fmt.Sscanf(line, "RssFile: %d kB", &kib); n == 1 {
			file = kib >> 10
		}
	}
	return anon, file
}

// filesIn returns the total size of the files below a directory.
func filesIn(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if info, _ := e.Info(); err == nil && info != nil && !e.IsDir() {
			size += info.Size()
		}
		return nil
	})
	return size
}

// timed calls do n times and prints the percentiles and the CPU time of the process per call.
func timed(name string, n int, do func(i int)) (p99 time.Duration) {
	took := make([]time.Duration, n)
	cpu := cpuTime()
	for i := range n {
		start := time.Now()
		do(i)
		took[i] = time.Since(start)
	}
	cpu = (cpuTime() - cpu) / time.Duration(n)
	slices.Sort(took)
	p99 = took[n*99/100]
	fmt.Printf("  %-34s p50 %8.2f ms  p99 %8.2f ms  cpu %7.2f ms\n", name, ms(took[n/2]), ms(p99), ms(cpu))
	return p99
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measured is an engine behind HTTP.
type measured struct {
	b      *testing.B
	e      *served
	server *httptest.Server
	client *http.Client
}

func serveEngine(b *testing.B, dir string) *measured {
	e := open(b, dir, embedded.Limits{Documents: 1 << 30, DocumentsPerCollection: 1 << 30, MemoryBytes: 1 << 40})
	return &measured{b, e, httptest.NewServer(e), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
}

func (s *measured) close() {
	s.client.CloseIdleConnections()
	s.server.Close()
	require.NoError(s.b, s.e.Close())
}

func (s *measured) call(method, path string, body []byte) []byte {
	r, err := http.NewRequest(method, s.server.URL+path, bytes.NewReader(body))
	require.NoError(s.b, err)
	r.Header.Set("X-TYPESENSE-API-KEY", testKey)
	resp, err := s.client.Do(r)
	require.NoError(s.b, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.b, err)
	require.Less(s.b, resp.StatusCode, 300, "%s", text)
	return text
}

func (s *measured) search(kind, q string) int {
	v := url.Values{"q": {q}, "query_by": {"title,body"}}
	switch kind {
	case "typo+filter+facet":
		v.Set("filter_by", "year:>1950")
		v.Set("facet_by", "kind")
	case "all by a field":
		v.Set("filter_by", "year:>1950")
		v.Set("facet_by", "kind")
		v.Set("sort_by", "price:desc")
	}
	var r struct{ Found int }
	require.NoError(s.b, json.Unmarshal(s.call("GET", "/collections/x/documents/search?"+v.Encode(), nil), &r))
	return r.Found
}

func lines(docs []figureDocument) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, d := range docs {
		_ = enc.Encode(d)
	}
	return buf.Bytes()
}

func (f *figures) engine(b *testing.B) {
	dir := b.TempDir()
	debug.FreeOSMemory()
	corpus, _ := residents()
	s := serveEngine(b, dir)
	s.call("POST", "/collections", []byte(figureSchema))
	start, cpu := time.Now(), cpuTime()
	for chunk := range slices.Chunk(f.docs, 1000) {
		s.call("POST", "/collections/x/documents/import?action=create", lines(chunk))
	}
	fmt.Printf("\nengine, %d documents over HTTP\n  import %.0f docs/s, %.0f us of CPU each\n", len(f.docs), float64(len(f.docs))/time.Since(start).Seconds(),
		float64((cpuTime()-cpu).Microseconds())/float64(len(f.docs)))
	s.searches(f, "")
	f.upserts(s)
	f.besideImport(s)
	anon, file := residents()
	debug.FreeOSMemory()
	kept, _ := residents()
	fmt.Printf("  RssAnon %d MiB beside the corpus, %d after a collection; RssFile %d MiB; files %d MiB\n", anon-corpus, kept-corpus, file, filesIn(dir)>>20)
	s.close()
	start, cpu = time.Now(), cpuTime()
	s = serveEngine(b, dir)
	fmt.Printf("  restart to ready %.0f ms, %.0f ms of CPU\n", ms(time.Since(start)), ms(cpuTime()-cpu))
	require.Equal(b, s.search("common word", f.words[0]) > 0, true)
	s.close()
}

func (s *measured) searches(f *figures, suffix string) {
	kinds := f.queries()
	for _, kind := range slices.Sorted(func(yield func(string) bool) {
		for k := range kinds {
			if !yield(k) {
				return
			}
		}
	}) {
		found := 0
		for i := range 20 { // the first ones warm up
			found = max(found, s.search(kind, kinds[kind](i)))
		}
		timed(fmt.Sprintf("%s (<= %d)%s", kind, found, suffix), 300, func(i int) { s.search(kind, kinds[kind](i)) })
	}
}

// upserts measures durable writes of single documents: one by one and by 64 clients.
func (f *figures) upserts(s *measured) {
	put := func(i int) {
		d := f.docs[i%len(f.docs)]
		d.Year++
		line, _ := json.Marshal(d)
		s.call("POST", "/collections/x/documents?action=upsert", line)
	}
	start := time.Now()
	const alone, together = 300, 6400
	timed("upsert, one by one", alone, put)
	single := alone / time.Since(start).Seconds()
	start = time.Now()
	var next atomic.Int64
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := next.Add(1); i <= together; i = next.Add(1) {
				put(int(i))
			}
		})
	}
	group.Wait()
	many := together / time.Since(start).Seconds()
	fmt.Printf("  upserts/s %.0f one by one, %.0f by 64 clients: %.1f times\n", single, many, many/single)
}

// besideImport measures a search on an idle engine, and during a constant import of new documents.
func (f *figures) besideImport(s *measured) {
	typo := f.queries()["typo+filter+facet"]
	quiet := timed("typo+filter+facet, quiet", 300, func(i int) { s.search("typo+filter+facet", typo(i)) })
	done := make(chan struct{})
	var group sync.WaitGroup
	var imported atomic.Int64
	group.Go(func() {
		for round := 0; ; round++ {
			docs := slices.Clone(f.docs[:1000])
			for i := range docs {
				docs[i].ID = fmt.Sprintf("n%d-%d", round, i)
			}
			s.call("POST", "/collections/x/documents/import?action=create", lines(docs))
			imported.Add(1000)
			select {
			case <-done:
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	})
	busy := timed("typo+filter+facet, beside an import", 600, func(i int) { s.search("typo+filter+facet", typo(i)) })
	close(done)
	group.Wait()
	fmt.Printf("  p99 beside an import (%d documents meanwhile) is %.1f times the quiet one\n", imported.Load(), float64(busy)/float64(quiet))
}

func (f *figures) bleve(b *testing.B) {
	m := bleve.NewIndexMapping()
	doc := bleve.NewDocumentStaticMapping()
	text, word, number := bleve.NewTextFieldMapping(), bleve.NewKeywordFieldMapping(), bleve.NewNumericFieldMapping()
	text.Analyzer, text.Store, word.Store, number.Store = "simple", false, false, false
	doc.AddFieldMappingsAt("title", text)
	doc.AddFieldMappingsAt("body", text)
	doc.AddFieldMappingsAt("kind", word)
	doc.AddFieldMappingsAt("year", number)
	doc.AddFieldMappingsAt("price", number)
	m.DefaultMapping = doc
	path := b.TempDir() + "/bleve"
	idx, err := bleve.New(path, m)
	require.NoError(b, err)
	start, cpu := time.Now(), cpuTime()
	for chunk := range slices.Chunk(f.docs, 1000) {
		batch := idx.NewBatch()
		for _, d := range chunk {
			require.NoError(b, batch.Index(d.ID, map[string]any{"title": d.Title, "body": d.Body, "kind": d.Kind, "year": d.Year, "price": d.Price}))
		}
		require.NoError(b, idx.Batch(batch))
	}
	fmt.Printf("\nBleve, %d documents in the process\n  import %.0f docs/s, %.0f us of CPU each\n", len(f.docs), float64(len(f.docs))/time.Since(start).Seconds(),
		float64((cpuTime()-cpu).Microseconds())/float64(len(f.docs)))
	kinds := f.queries()
	for _, kind := range []string{"typo+filter+facet", "common word", "two-letter prefix", "two words", "two common words", "all by a field"} {
		timed(kind, 300, func(i int) {
			r, err := idx.Search(bleveRequest(kind, kinds[kind](i)))
			require.NoError(b, err)
			_ = r.Total
		})
	}
	require.NoError(b, idx.Close())
	start = time.Now()
	idx, err = bleve.Open(path)
	require.NoError(b, err)
	fmt.Printf("  restart to ready %.0f ms\n", ms(time.Since(start)))
	require.NoError(b, idx.Close())
}

// bleveRequest returns a request to Bleve that is similar to the one to the engine.
func bleveRequest(kind, q string) *bleve.SearchRequest {
	either := func(make func(field string) query.Query) query.Query {
		return bleve.NewDisjunctionQuery(make("title"), make("body"))
	}
	var parts []query.Query
	for _, w := range strings.Fields(q) {
		parts = append(parts, either(func(field string) query.Query {
			switch kind {
			case "typo+filter+facet":
				q := bleve.NewFuzzyQuery(w)
				q.SetField(field)
				q.SetFuzziness(1)
				return q
			case "two-letter prefix":
				q := bleve.NewPrefixQuery(w)
				q.SetField(field)
				return q
			}
			q := bleve.NewTermQuery(w)
			q.SetField(field)
			return q
		}))
	}
	facet := kind == "typo+filter+facet" || kind == "all by a field"
	if kind == "all by a field" {
		parts = []query.Query{bleve.NewMatchAllQuery()}
	}
	if facet {
		low, no := 1950.0, false
		year := bleve.NewNumericRangeInclusiveQuery(&low, nil, &no, nil)
		year.SetField("year")
		parts = append(parts, year)
	}
	r := bleve.NewSearchRequestOptions(bleve.NewConjunctionQuery(parts...), 10, 0, false)
	if facet {
		r.AddFacet("kind", bleve.NewFacetRequest("kind", 10))
	}
	if kind == "all by a field" {
		r.SortBy([]string{"-price"})
	}
	return r
}
