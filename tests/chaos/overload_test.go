package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/tests/harness"
)

// crowd is the size of the overload test: small in CI, where only the kind of the responses counts.
func crowd() (documents int, each time.Duration) {
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return 40_000, 10 * time.Second
	}
	return 2_000, 300 * time.Millisecond
}

// load is what clients got in one phase.
type load struct {
	took    []time.Duration // of the successful responses
	refused int
	elapsed time.Duration
}

func (l *load) quantile(q float64) time.Duration {
	if len(l.took) == 0 {
		return 0
	}
	slices.Sort(l.took)
	return l.took[int(q*float64(len(l.took)-1))].Round(100 * time.Microsecond)
}

func (l *load) String() string {
	return fmt.Sprintf("%.1f answers/s, p50 %s, p99 %s, %d refused", float64(len(l.took))/l.elapsed.Seconds(), l.quantile(0.5), l.quantile(0.99), l.refused)
}

// Far more clients than there are processors get responses at the rate of a few clients. The others are told
// immediately to retry later.
func TestOverload_ofHeavySearchesFinishesWhatItLetsIn(t *testing.T) {
	documents, each := crowd()
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	c := p.Bootstrap(dir, "ada", password, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	fillCollection(t, c, documents)

	quiet, few, many := searchAll(t, c, 1, each), searchAll(t, c, 2, each), searchAll(t, c, 64, each)
	t.Logf("%d documents\n 1 client:  %s\n 2 clients: %s\n64 clients: %s", documents, quiet, few, many)
	require.NotEmpty(t, many.took, "nobody was answered")
	p.Stop()
}

func fillCollection(t *testing.T, c *fountain.Client, documents int) {
	t.Helper()
	facet := true
	_, err := c.Search.CreateCollection(t.Context(), search.CollectionCreate{Name: "crowd", Fields: []search.Field{
		{Name: "text", Type: "string"}, {Name: "kind", Type: "string", Facet: &facet}, {Name: "n", Type: "int32"},
	}})
	require.NoError(t, err)
	const batch = 1000
	for from := 0; from < documents; from += batch {
		items := make([]search.SyncItem, 0, batch)
		for i := from; i < min(from+batch, documents); i++ {
			document := json.RawMessage(fmt.Sprintf(`{"id":"d%d","text":"who is there in the %d night","kind":"k%d","n":%d}`, i, i, i%50, i))
			items = append(items, search.SyncItem{Op: search.SyncItemOpUpsert, ID: fmt.Sprintf("d%d", i), Document: &document})
		}
		done, err := c.Search.SyncDocuments(t.Context(), "crowd", search.DocumentSync{Items: items})
		require.NoError(t, err)
		require.Zero(t, done.Failed)
	}
}

// searchAll lets clients search repeatedly for words that are in all documents. A refusal must say that there is
// overload, and when to retry.
func searchAll(t *testing.T, c *fountain.Client, clients int, each time.Duration) *load {
	ctx, cancel := context.WithTimeout(t.Context(), each)
	defer cancel()
	perPage, down := int32(250), search.SortKeyOrderDesc
	body := search.DocumentSearch{Q: "who night", QueryBy: []string{"text"}, FacetBy: &[]string{"kind"}, SortBy: &[]search.SortKey{{Field: "n", Order: &down}}, PerPage: &perPage}
	l := &load{}
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				_, err := c.Search.SearchDocuments(t.Context(), "crowd", body)
				took := time.Since(start)
				var refusal *fountain.Error
				mu.Lock()
				switch {
				case err == nil:
					l.took = append(l.took, took)
				case errors.As(err, &refusal) && refusal.Code == fountain.CodeOverloaded && refusal.RetryAfter >= time.Second:
					l.refused++
				default:
					t.Error(err)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(refusalPause)
				}
			}
		})
	}
	all.Wait()
	l.elapsed = time.Since(began)
	return l
}

// refusalPause is how long a refused client of the test waits. It is less than the response asks for, so that the load
// stays far above the capacity.
const refusalPause = 100 * time.Millisecond
