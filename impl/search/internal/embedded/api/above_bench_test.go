package api

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// BenchmarkAbove measures the CPU time of searches that need values of every document found: groups, facets sorted by another field,
// places, vectors, and infix searches. BENCH_DOCS sets the number of documents.
//
//	BENCH_DOCS=100000 go test -run '^$' -bench Above -benchtime 10x ./impl/search/internal/embedded/api
func BenchmarkAbove(b *testing.B) {
	docs := 2_000
	if n, err := strconv.Atoi(os.Getenv("BENCH_DOCS")); err == nil {
		docs = n
	}
	e := open(b, b.TempDir(), embedded.Limits{})
	defer e.Close()
	must(b, e, 201, "POST", "/collections", `{"name":"x","fields":[{"name":"title","type":"string","infix":true},{"name":"body","type":"string"},{"name":"kind","type":"string","facet":true},
		{"name":"year","type":"int32","facet":true},{"name":"price","type":"float"},{"name":"at","type":"geopoint"},{"name":"v","type":"float[]","num_dim":64}]}`)
	var lines strings.Builder
	r := rand.New(rand.NewPCG(3, 4))
	vector := func() string {
		numbers := make([]string, 64)
		for i := range numbers {
			numbers[i] = strconv.FormatFloat(r.NormFloat64(), 'g', 6, 32)
		}
		return "[" + strings.Join(numbers, ",") + "]"
	}
	for i, d := range drawFigures(docs).docs {
		fmt.Fprintf(&lines, `{"id":"%d","title":%q,"body":%q,"kind":%q,"year":%d,"price":%g,"at":[%g,%g],"v":%s}`+"\n", i, d.Title, d.Body, d.Kind, d.Year, d.Price, float64(i%180)-90, float64(i%360)-180, vector())
		if i%1000 == 999 || i == docs-1 {
			must(b, e, 200, "POST", "/collections/x/documents/import", lines.String())
			lines.Reset()
		}
	}
	for _, c := range []struct{ name, params string }{
		{"groups of a string", "q=*&group_by=kind"},
		{"groups of two fields", "q=*&group_by=kind,year&per_page=20"},
		{"facet in another's order", "q=*&per_page=1&facet_by=" + url.QueryEscape("kind(sort_by: year:asc)")},
		{"filter by a circle", "q=*&filter_by=" + url.QueryEscape("at:(10,10,500 km)")},
		{"order by a distance", "q=*&sort_by=" + url.QueryEscape("at(10,10):asc")},
		{"vector of 64 numbers", "q=*&vector_query=" + url.QueryEscape("v:("+vector()+", k: 10)")},
		{"infix", "q=omi&query_by=title&infix=always"},
	} {
		b.Run(c.name, func(b *testing.B) {
			began := cpuTime()
			for range b.N {
				must(b, e, 200, "GET", "/collections/x/documents/search?"+c.params, "")
			}
			b.ReportMetric(float64((cpuTime()-began).Microseconds())/1000/float64(b.N), "cpu-ms/search")
		})
	}
}
