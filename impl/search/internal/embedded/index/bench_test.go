package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"
	_ "github.com/blevesearch/bleve/v2/analysis/analyzer/simple"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// BenchmarkIndexes compares Segments with Bleve's own index on one corpus in one run (docs/decisions/0038-segments.md).
// BENCH_DOCS sets the number of documents (default 20,000).
//
//	go test -run '^$' -bench Indexes -benchtime 200x ./impl/search/internal/embedded/index

type benchDocument struct {
	Title, Body, Kind string
	Year              float64
	Price             float64
}

// corpus generates documents from a Zipf vocabulary of made-up words.
func corpus(n int) ([]benchDocument, []string) {
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ka lo mi tu ra se no vi pa do fe gu li mo na ru ta ve zo bi")
	words := make([]string, 20_000)
	for i := range words {
		var b strings.Builder
		for range 2 + r.IntN(3) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		words[i] = b.String() + string(rune('a'+i%26))
	}
	zipf := rand.NewZipf(r, 1.1, 20, uint64(len(words)-1))
	text := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = words[zipf.Uint64()]
		}
		return strings.Join(list, " ")
	}
	docs := make([]benchDocument, n)
	for i := range docs {
		docs[i] = benchDocument{text(6), text(30), "kind" + strconv.Itoa(r.IntN(20)), float64(1900 + r.IntN(125)), float64(r.IntN(10000)) / 100}
	}
	return docs, words[200:2200] // words neither everywhere nor nowhere
}

func benchDocs() int {
	if n, err := strconv.Atoi(os.Getenv("BENCH_DOCS")); err == nil {
		return n
	}
	return 20_000
}

func heapInUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func BenchmarkIndexes(b *testing.B) {
	docs, words := corpus(benchDocs())
	b.Run("segments", func(b *testing.B) { benchSegments(b, docs, words) })
	b.Run("bleve", func(b *testing.B) { benchBleve(b, docs, words) })
}

// misspell changes one letter in the middle.
func misspell(w string) string { return w[:2] + "x" + w[3:] }

// report measures do, b.N times, and reports percentiles.
func report(b *testing.B, do func(i int) int) {
	took := make([]time.Duration, b.N)
	hits := 0
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		hits += do(i)
		took[i] = time.Since(start)
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(hits)/float64(b.N), "hits")
}

func benchSegments(b *testing.B, docs []benchDocument, words []string) {
	s, err := schema.Parse([]byte(`{"name":"x","fields":[{"name":"title","type":"string"},{"name":"body","type":"string"},
		{"name":"kind","type":"string","facet":true},{"name":"year","type":"int32"},{"name":"price","type":"float"}]}`), 10)
	require.NoError(b, err)
	before := heapInUse()
	m, start := New(Config{}), time.Now()
	for from := 0; from < len(docs); from += 1000 {
		var batch Batch
		for i := from; i < min(from+1000, len(docs)); i++ {
			d := docs[i]
			batch = append(batch, Change{Seq: uint64(i), Schema: s, New: &schema.Typed{ID: strconv.Itoa(i), Values: map[string]schema.Value{
				"title": {Strings: []string{d.Title}}, "body": {Strings: []string{d.Body}}, "kind": {Strings: []string{d.Kind}},
				"year": {Ints: []int64{int64(d.Year)}}, "price": {Floats: []float64{d.Price}},
			}}})
		}
		require.NoError(b, m.Apply(batch))
	}
	took := time.Since(start)
	m.Rest()
	b.Run("build", func(b *testing.B) {
		b.ReportMetric(float64(len(docs))/took.Seconds(), "docs/s")
		b.ReportMetric((heapInUse()-before)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(m.Stats().Bytes)/(1<<20), "estimate-MiB")
	})
	title, _ := s.Field("title")
	body, _ := s.Field("body")
	kind, _ := s.Field("kind")
	year, err := filter.Parse("year:>1950", s, filter.Options{})
	require.NoError(b, err)
	plan := func(filtered bool, words ...string) Plan {
		p := Plan{Schema: s, Query: Query{Words: words, All: len(words) == 0}, Limit: 10, MinLen1Typo: 4, MinLen2Typo: 7, TypoThreshold: 1, DropThreshold: 1, MaxCandidates: 4, FilterCandidates: 4,
			Fields: []QueryField{{Field: title, Weight: 15, NumTypos: 2, Prefix: true}, {Field: body, Weight: 14, NumTypos: 2, Prefix: true}}}
		if filtered {
			p.Filter, p.Facets = year, []Facet{{Field: kind, Max: 10}}
		}
		return p
	}
	search := func(p Plan) int {
		r, err := m.Search(context.Background(), p)
		require.NoError(b, err)
		return r.Found
	}
	b.Run("word", func(b *testing.B) {
		report(b, func(i int) int { return search(plan(false, words[i%len(words)])) })
	})
	b.Run("typo+filter+facet", func(b *testing.B) {
		report(b, func(i int) int { return search(plan(true, misspell(words[i%len(words)]))) })
	})
	b.Run("prefix+filter+facet", func(b *testing.B) {
		report(b, func(i int) int { return search(plan(true, words[i%len(words)][:4])) })
	})
	b.Run("two+filter+facet", func(b *testing.B) {
		report(b, func(i int) int { return search(plan(true, words[i*7%len(words)], misspell(words[i%len(words)]))) })
	})
	b.Run("all+filter+facet", func(b *testing.B) { report(b, func(int) int { return search(plan(true)) }) })
	runtime.KeepAlive(m)
}

func benchMapping() *mapping.IndexMappingImpl {
	m := bleve.NewIndexMapping()
	doc := bleve.NewDocumentStaticMapping()
	text, word, number := bleve.NewTextFieldMapping(), bleve.NewKeywordFieldMapping(), bleve.NewNumericFieldMapping()
	text.Analyzer, text.Store, word.Store, number.Store = "simple", false, false, false
	doc.AddFieldMappingsAt("Title", text)
	doc.AddFieldMappingsAt("Body", text)
	doc.AddFieldMappingsAt("Kind", word)
	doc.AddFieldMappingsAt("Year", number)
	doc.AddFieldMappingsAt("Price", number)
	m.DefaultMapping = doc
	return m
}

func benchBleve(b *testing.B, docs []benchDocument, words []string) {
	before := heapInUse()
	idx, err := bleve.New(b.TempDir()+"/bleve", benchMapping())
	require.NoError(b, err)
	defer idx.Close()
	start := time.Now()
	for from := 0; from < len(docs); from += 1000 {
		batch := idx.NewBatch()
		for i := from; i < min(from+1000, len(docs)); i++ {
			require.NoError(b, batch.Index(strconv.Itoa(i), docs[i]))
		}
		require.NoError(b, idx.Batch(batch))
	}
	took := time.Since(start)
	b.Run("build", func(b *testing.B) {
		b.ReportMetric(float64(len(docs))/took.Seconds(), "docs/s")
		b.ReportMetric((heapInUse()-before)/(1<<20), "heap-MiB")
	})
	either := func(make func(field string) query.Query) query.Query {
		return bleve.NewDisjunctionQuery(make("Title"), make("Body"))
	}
	exact := func(w string) query.Query {
		return either(func(f string) query.Query { q := bleve.NewTermQuery(w); q.SetField(f); return q })
	}
	fuzzy := func(w string) query.Query {
		return either(func(f string) query.Query { q := bleve.NewFuzzyQuery(w); q.SetField(f); q.SetFuzziness(1); return q })
	}
	prefix := func(w string) query.Query {
		return either(func(f string) query.Query { q := bleve.NewPrefixQuery(w); q.SetField(f); return q })
	}
	low := 1950.0
	exclusive := false
	year := bleve.NewNumericRangeInclusiveQuery(&low, nil, &exclusive, nil)
	year.SetField("Year")
	search := func(filtered bool, parts ...query.Query) int {
		if filtered {
			parts = append(parts, year)
		}
		req := bleve.NewSearchRequestOptions(bleve.NewConjunctionQuery(parts...), 10, 0, false)
		if filtered {
			req.AddFacet("kind", bleve.NewFacetRequest("Kind", 10))
		}
		r, err := idx.Search(req)
		if err != nil {
			panic(fmt.Sprint(err))
		}
		return int(r.Total)
	}
	b.Run("word", func(b *testing.B) {
		report(b, func(i int) int { return search(false, exact(words[i%len(words)])) })
	})
	b.Run("typo+filter+facet", func(b *testing.B) {
		report(b, func(i int) int { return search(true, fuzzy(misspell(words[i%len(words)]))) })
	})
	b.Run("prefix+filter+facet", func(b *testing.B) {
		report(b, func(i int) int { return search(true, prefix(words[i%len(words)][:4])) })
	})
	b.Run("two+filter+facet", func(b *testing.B) {
		report(b, func(i int) int {
			return search(true, exact(words[i*7%len(words)]), fuzzy(misspell(words[i%len(words)])))
		})
	})
	b.Run("all+filter+facet", func(b *testing.B) {
		report(b, func(int) int { return search(true, bleve.NewMatchAllQuery()) })
	})
}
