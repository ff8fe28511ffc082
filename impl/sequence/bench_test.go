package sequence

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const (
	benchClients  = 64
	benchParallel = 16 // transactions at once where each request has its own, on PostgreSQL
)

// BenchmarkAppendOverHTTP is a durable append by each of 64 clients, over HTTP and with a token: in shared commits, with an Idempotency-Key, by the same service with one transaction for each request, by a bare
// chi handler that parses and answers the same JSON in front of the bare writer, and by one without a writer, which is what client and machine allow. The processor's time is that of the process, clients included. The search service is away: bringing it
// the elements is not in the figures. Compare only figures of one run.
func BenchmarkAppendOverHTTP(b *testing.B) {
	databases := []string{""}
	if os.Getenv("FOUNTAIN_TEST_POSTGRES_URL") != "" {
		databases = append(databases, "postgres")
	}
	for _, name := range databases {
		open := func(b *testing.B) database.Config {
			if name == "" {
				return database.Config{Name: "bench", Dir: b.TempDir()}
			}
			return storetest.PostgresConfig(b)
		}
		kind := map[string]string{"": "sqlite", "postgres": "postgres"}[name]
		b.Run(kind+"/shared", func(b *testing.B) { appendOverHTTP(b, newServices(b, open(b), 0, 1), false) })
		b.Run(kind+"/keys", func(b *testing.B) { appendOverHTTP(b, newServices(b, open(b), 0, 1), true) })
		services := map[string]int{"": 1, "postgres": benchParallel}[name]
		b.Run(kind+"/each", func(b *testing.B) { appendOverHTTP(b, newServices(b, open(b), 1, services), false) })
		b.Run(kind+"/bare", func(b *testing.B) { appendOverHTTP(b, newBareService(b, open(b)), false) })
		b.Run(kind+"/nothing", func(b *testing.B) { appendOverHTTP(b, serveBare(b, append1), false) })
	}
}

// target is where a benchmark appends.
type target struct {
	urls    []string
	token   string
	commits prometheus.Gatherer // counts them; nil where there are none
}

func newServices(b *testing.B, db database.Config, maxBatch, n int) (out target) {
	f := newFamily(b)
	f.search.set(func() { f.search.away = true })
	registry := prometheus.NewRegistry()
	for at := range n {
		c := f.settings(b, db)
		c.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"instance": fmt.Sprint(at)}, registry)
		c.Log, c.maxBatch = slog.New(slog.NewJSONHandler(io.Discard, nil)), maxBatch
		i := f.launch(b, c, f)
		i.WaitReady(b)
		out.urls = append(out.urls, i.URL)
	}
	out.token, out.commits = f.token(b, program), registry
	return out
}

// bareElement is what a bare handler reads and answers.
type bareElement struct {
	ID          string          `json:"id,omitempty"`
	Scope       string          `json:"scope,omitempty"`
	ElementType string          `json:"elementType,omitempty"`
	Number      int64           `json:"number,omitempty"`
	Status      string          `json:"status,omitempty"`
	Version     int64           `json:"version,omitempty"`
	Data        json.RawMessage `json:"data"`
	CreatedAt   time.Time       `json:"createdAt"`
	UpdatedAt   time.Time       `json:"updatedAt"`
}

func newBareService(b *testing.B, c database.Config) target {
	c.Migrations, c.Log = []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, store.Migrations}, slog.New(slog.DiscardHandler)
	if c.URL != "" {
		c.URL = store.Address(c.URL)
	}
	db, err := database.Open(b.Context(), c)
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close() })
	key, err := seal.FromDataKey(seal.NewDataKey())
	require.NoError(b, err)
	audittest.Open(b, db)
	registry := prometheus.NewRegistry()
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: c.Log, Registerer: registry, Enqueue: searchsync.Enqueue, Committed: func(string) {},
	})
	b.Cleanup(w.Close)
	bare := serveBare(b, func(ctx context.Context, create *domain.Create) (domain.Element, error) {
		done, err := w.Do(ctx, writer.Request{Create: create})
		if err != nil {
			return domain.Element{}, err
		}
		return done.Elements[0], nil
	})
	bare.commits = registry
	return bare
}

// append1 answers as a writer would, and writes nothing.
func append1(_ context.Context, create *domain.Create) (domain.Element, error) {
	return create.Number(1, time.Now().UTC())[0], nil
}

// serveBare serves a handler that parses, has something done, and answers.
func serveBare(b *testing.B, do func(ctx context.Context, create *domain.Create) (domain.Element, error)) target {
	router := chi.NewRouter()
	router.Post("/sequence/v1/scopes/{scope}/{elementType}/elements", func(out http.ResponseWriter, r *http.Request) {
		var in bareElement
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		create := &domain.Create{
			Group: domain.Group{Scope: chi.URLParam(r, "scope"), ElementType: chi.URLParam(r, "elementType")}, Drafts: []domain.Draft{{Data: in.Data}}, Actor: domain.Actor{Subject: "usr_bench"},
		}
		create.Name(func() string { return id.New("elm") })
		e, err := do(r.Context(), create)
		if err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
			return
		}
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(out).Encode(bareElement{
			ID: e.ID, Scope: e.Scope, ElementType: e.ElementType, Number: e.Number, Status: string(e.Status), Version: e.Version, Data: e.Data, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
		})
	})
	server := httptest.NewServer(router)
	b.Cleanup(server.Close)
	return target{urls: []string{server.URL}, token: strings.Repeat("x", 700)}
}

// commitsOf returns how many commits there were, and of how many requests.
func commitsOf(b *testing.B, from prometheus.Gatherer) (commits, requests float64) {
	if from == nil {
		return 0, 0
	}
	families, err := from.Gather()
	require.NoError(b, err)
	for _, family := range families {
		if family.GetName() == "fountain_sequence_commit_requests" {
			for _, m := range family.GetMetric() {
				commits += float64(m.GetHistogram().GetSampleCount())
				requests += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return commits, requests
}

func appendOverHTTP(b *testing.B, to target, keys bool) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchClients}}
	b.Cleanup(client.CloseIdleConnections)
	body := []byte(`{"data":{"character":"HAMLET","text":"To be, or not to be, that is the question"}}`)
	one := func(client *http.Client, n int64) error {
		url := fmt.Sprintf("%s/sequence/v1/scopes/bench/type%d/elements", to.urls[n%int64(len(to.urls))], n%8)
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+to.token)
		if keys {
			r.Header.Set("Idempotency-Key", strconv.FormatInt(time.Now().UnixMilli(), 36)+"-"+rand.Text()) // as the SDK's are
		}
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusCreated {
			err = fmt.Errorf("%s: %s", answer.Status, text)
		}
		return err
	}
	for n := range benchClients { // connections, and what is made at the first use
		require.NoError(b, one(client, int64(-n-1)&0xff))
	}
	var next atomic.Int64
	next.Store(1000)
	took := make([]time.Duration, b.N)
	var group sync.WaitGroup
	commits, requests := commitsOf(b, to.commits)
	before := processorTime(b)
	b.ResetTimer()
	for range benchClients {
		group.Go(func() {
			for n := next.Add(1) - 1001; n < int64(b.N); n = next.Add(1) - 1001 {
				began := time.Now()
				if err := one(client, n+1000); err != nil {
					b.Errorf("append: %v", err)
					return
				}
				took[n] = time.Since(began)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	used := processorTime(b) - before
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(used)/float64(b.N)/1e3, "cpu-us/append")
	if committed, asked := commitsOf(b, to.commits); committed > commits {
		b.ReportMetric((committed-commits)/b.Elapsed().Seconds(), "commits/s")
		b.ReportMetric((asked-requests)/(committed-commits), "appends/commit")
	}
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
