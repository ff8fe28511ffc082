package api

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// BenchmarkEngine measures acknowledged, durable imports through the HTTP handler, 1,000 documents at a time, and a restart with the
// imported documents.
func BenchmarkEngine(b *testing.B) {
	dir := b.TempDir()
	b.Run("import", func(b *testing.B) { benchImport(b, dir) })
	b.Run("restart", func(b *testing.B) { benchRestart(b, dir) })
}

func benchImport(b *testing.B, dir string) {
	e := open(b, dir, embedded.Limits{Documents: 1 << 30, DocumentsPerCollection: 1 << 30, MemoryBytes: 1 << 40})
	call(e, "POST", "/collections", `{"name":"x","fields":[{"name":"title","type":"string"},{"name":"body","type":"string"},{"name":"kind","type":"string","facet":true},{"name":"year","type":"int32"}]}`)
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.1, 20, 20_000)
	words := func(n int) string {
		var w strings.Builder
		for range n {
			fmt.Fprintf(&w, "w%dx ", zipf.Uint64())
		}
		return w.String()
	}
	const chunk = 1000
	bodies := make([]string, 20)
	for i := range bodies {
		var body strings.Builder
		for range chunk {
			fmt.Fprintf(&body, `{"title":"%s","body":"%s","kind":"k%d","year":%d}`+"\n", words(6), words(30), r.IntN(20), 1900+r.IntN(120))
		}
		bodies[i] = body.String()
	}
	b.ResetTimer()
	for i := range b.N {
		must(b, e, 200, "POST", "/collections/x/documents/import", bodies[i%len(bodies)])
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*chunk)/b.Elapsed().Seconds(), "docs/s")
	if info, err := os.Stat(filepath.Join(dir, "documents.db")); err == nil {
		b.ReportMetric(float64(info.Size())/float64(b.N*chunk), "disk-B/doc")
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

func benchRestart(b *testing.B, dir string) {
	documents := 0
	for range b.N {
		e := open(b, dir, embedded.Limits{Documents: 1 << 30, DocumentsPerCollection: 1 << 30, MemoryBytes: 1 << 40})
		documents = e.Stats().Documents
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(documents*b.N)/b.Elapsed().Seconds(), "docs/s")
}
