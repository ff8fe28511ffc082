package writer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	clients  = 64
	types    = 8
	parallel = 16 // transactions at once where each request has its own, on PostgreSQL
)

// BenchmarkAppend measures durable appends of 64 clients to 8 types: shared commits beside one transaction per request. Compare
// only figures of one run.
func BenchmarkAppend(b *testing.B) {
	databases := []func(b *testing.B) database.Config{sqliteConfig}
	if os.Getenv("FOUNTAIN_TEST_POSTGRES_URL") != "" {
		databases = append(databases, postgresConfig)
	}
	for _, config := range databases {
		for _, keys := range []bool{false, true} {
			for _, shared := range []bool{true, false} {
				c := config(b)
				name := fmt.Sprintf("%s/keys=%t/%s", c.Name, keys, map[bool]string{true: "shared", false: "each"}[shared])
				c.Name = "bench"
				b.Run(name, func(b *testing.B) { benchmarkAppend(b, c, shared, keys) })
			}
		}
	}
}

func sqliteConfig(b *testing.B) database.Config {
	return database.Config{Name: "sqlite", Dir: b.TempDir()}
}

// postgresConfig makes an empty database, dropped after the benchmark.
func postgresConfig(b *testing.B) database.Config {
	admin := os.Getenv("FOUNTAIN_TEST_POSTGRES_URL")
	name := fmt.Sprintf("fountain_bench_%d", time.Now().UnixNano())
	run := func(statement string) {
		conn, err := pgx.Connect(context.Background(), admin)
		require.NoError(b, err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), statement)
		require.NoError(b, err)
	}
	run("CREATE DATABASE " + name)
	b.Cleanup(func() { run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	address, err := url.Parse(admin)
	require.NoError(b, err)
	address.Path = "/" + name
	return database.Config{Name: "postgres", URL: store.Address(address.String()), MaxConns: 32}
}

func benchmarkAppend(b *testing.B, c database.Config, shared, keys bool) {
	c.Migrations, c.Log = migrations, slog.New(slog.DiscardHandler)
	db, err := database.Open(b.Context(), c)
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close() })
	writers := []*writer.Writer{}
	switch {
	case shared:
		writers = append(writers, newWriter(b, db, 0))
	case db.Dialect() == database.SQLite:
		writers = append(writers, newWriter(b, db, 1))
	default:
		for range parallel {
			writers = append(writers, newWriter(b, db, 1))
		}
	}
	run := time.Now().UnixNano()
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var group sync.WaitGroup
	b.ResetTimer()
	for client := range clients {
		group.Go(func() {
			w := writers[client%len(writers)]
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				r := create(domain.Group{Scope: "bench", ElementType: fmt.Sprintf("type%d", n%types)}, "")
				if keys {
					r = keyed(r, fmt.Sprintf("%d-%d", run, n))
				}
				began := time.Now()
				if _, err := w.Do(context.Background(), r); err != nil {
					b.Errorf("append: %v", err)
					return
				}
				took[n-1] = time.Since(began)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}
