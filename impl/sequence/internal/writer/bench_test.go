package writer_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
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

// BenchmarkAppend measures durable appends of 64 clients to 8 types, in shared commits and with one transaction per request. Compare
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

// postgresConfig creates an empty database, which is dropped after the benchmark.
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

// BenchmarkAppendAt measures the processor time of an append by one client, by the number of elements that the type already has. It should not grow. BENCH_ELEMENTS is the largest number; default 100,000.
func BenchmarkAppendAt(b *testing.B) {
	largest := benchElements(b, 100_000)
	db, err := database.Open(b.Context(), database.Config{Name: "bench", Dir: b.TempDir(), Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close() })
	w := newWriter(b, db, 0)
	there := 0
	for n := 1000; n <= largest; n *= 10 {
		fill(b, w, n-there)
		b.Run(fmt.Sprintf("elements=%d", n), func(b *testing.B) {
			before := processorTime(b)
			for range b.N {
				_, err := w.Do(context.Background(), create(lines, ""))
				require.NoError(b, err)
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/1e3, "cpu-us/append")
		})
		there = n
	}
}

func benchElements(b *testing.B, n int) int {
	if given, err := strconv.Atoi(os.Getenv("BENCH_ELEMENTS")); err == nil {
		return given
	}
	if testing.Short() {
		return 1000
	}
	return n
}

// fill appends n elements and returns their ids.
func fill(b *testing.B, w *writer.Writer, n int) (ids []string) {
	for len(ids) < n {
		done, err := w.Do(context.Background(), create(lines, make([]string, min(1000, n-len(ids)))...))
		require.NoError(b, err)
		for _, e := range done.Elements {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// processorTime returns the processor time that the process has used.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
