package writer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/scopefile"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/transfer"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	database "github.com/fountainai/fountain/internal/store"
)

// eachBenchDatabase runs a benchmark on SQLite and, where there is one, on PostgreSQL.
func eachBenchDatabase(b *testing.B, run func(b *testing.B, db *database.DB)) {
	databases := []func(b *testing.B) database.Config{sqliteConfig}
	if os.Getenv("FOUNTAIN_TEST_POSTGRES_URL") != "" {
		databases = append(databases, postgresConfig)
	}
	for _, config := range databases {
		c := config(b)
		b.Run(c.Name, func(b *testing.B) {
			c.Name, c.Migrations, c.Log = "bench", migrations, slog.New(slog.DiscardHandler)
			db, err := database.Open(b.Context(), c)
			require.NoError(b, err)
			b.Cleanup(func() { _ = db.Close() })
			run(b, db)
		})
	}
}

// BenchmarkMove measures a move in a type of 100,000 elements (BENCH_ELEMENTS): over one place, over as many as one commit may renumber, over as many as are listed one by one, and over all. held-ms is how long its transactions up to
// the answer held the writer. longest-ms is its longest transaction, and longest-cpu-ms the most processor time of the process in one of them. cpu-ms is the processor time of the process up to the answer, settle-cpu-ms that of settling.
func BenchmarkMove(b *testing.B) {
	n := benchElements(b, 100_000)
	eachBenchDatabase(b, func(b *testing.B, db *database.DB) {
		w := newWriter(b, db, 0)
		ids := fill(b, w, n)
		for _, places := range []int{1, 199, min(n, domain.MaxMoved) - 1, n - 1} {
			b.Run(fmt.Sprintf("places=%d", places), func(b *testing.B) {
				var held, longest, longestCPU, answering, settling time.Duration
				began, used, steps := time.Now(), time.Duration(0), 0
				w.Between(func() { began, used = time.Now(), processorTime(b) })
				w.Stepped(func() {
					took := time.Since(began)
					longest, longestCPU = max(longest, took), max(longestCPU, processorTime(b)-used)
					if steps++; steps <= 2 { // begin and show
						held += took
					}
				})
				for i := range b.N + b.N%2 { // there and back
					r := writer.Request{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: ids[0]}, After: ids[places], Actor: author}}
					if i%2 == 1 {
						r.Move.Before, r.Move.After = ids[1], ""
					}
					steps = 0
					asked, before := time.Now(), processorTime(b)
					_, err := w.Do(context.Background(), r)
					require.NoError(b, err)
					took, answered := time.Since(asked), processorTime(b)
					w.Settled()
					answering, settling = answering+answered-before, settling+processorTime(b)-answered
					if steps == 0 { // it shared a commit
						held, longest = held+took, max(longest, took)
					}
				}
				moves := float64(b.N+b.N%2) * 1e6
				b.ReportMetric(float64(held)/moves, "held-ms")
				b.ReportMetric(float64(longest)/1e6, "longest-ms")
				b.ReportMetric(float64(longestCPU)/1e6, "longest-cpu-ms")
				b.ReportMetric(float64(answering)/moves, "cpu-ms")
				b.ReportMetric(float64(settling)/moves, "settle-cpu-ms")
			})
		}
	})
}

// BenchmarkBeside measures how long appends of one client to another scope take while a large change is written in a database with 100,000 elements (BENCH_ELEMENTS): the largest creations that a request can hold, moves,
// a reorder of as many elements as one can list, an import of as many elements as there are, and restorations. "nothing" is one more client that appends.
func BenchmarkBeside(b *testing.B) {
	n := benchElements(b, 100_000)
	eachBenchDatabase(b, func(b *testing.B, db *database.DB) {
		w := newWriter(b, db, 0)
		ids := fill(b, w, n)
		for _, kind := range bigWrites(b, db, w, ids) {
			b.Run(kind.name, func(b *testing.B) {
				var over atomic.Bool
				var waits []time.Duration
				var beside sync.WaitGroup
				beside.Go(func() {
					for done := false; !done; done = over.Load() { // one at the least
						began := time.Now()
						if _, err := w.Do(context.Background(), create(domain.Group{Scope: "lear", ElementType: "line"}, "")); err != nil {
							b.Errorf("append beside it: %v", err)
							return
						}
						waits = append(waits, time.Since(began))
					}
				})
				for round := range b.N {
					require.NoError(b, kind.do(round))
					w.Settled()
				}
				over.Store(true)
				beside.Wait()
				slices.Sort(waits)
				b.ReportMetric(float64(len(waits)), "appends-beside")
				b.ReportMetric(float64(waits[len(waits)/2])/1e6, "p50-ms")
				b.ReportMetric(float64(waits[len(waits)-1])/1e6, "longest-ms")
			})
		}
	})
}

type bigWrite struct {
	name string
	do   func(round int) error
}

func bigWrites(b *testing.B, db *database.DB, w *writer.Writer, ids []string) []bigWrite {
	do := func(r writer.Request) error { _, err := w.Do(context.Background(), r); return err }
	far := func(places int) func(round int) error {
		return func(round int) error {
			move := &domain.Move{Ref: domain.Ref{Group: lines, ID: ids[0]}, After: ids[places], Actor: author}
			if err := do(writer.Request{Move: move}); err != nil {
				return err
			}
			w.Settled()
			return do(writer.Request{Move: &domain.Move{Ref: move.Ref, Before: ids[1], Actor: author}})
		}
	}
	elements := func(count, bytes int) func(round int) error {
		text := []byte(`{"text":"` + strings.Repeat("words ", bytes/6) + `"}`)
		return func(int) error {
			r := create(domain.Group{Scope: "large", ElementType: "line"}, make([]string, count)...)
			for i := range r.Create.Drafts {
				r.Create.Drafts[i].Data = text
			}
			return do(r)
		}
	}
	transfers := transfer.New(transfer.Options{
		DB: db, Store: store.New(db), Clock: clock.System, Log: slog.New(slog.DiscardHandler), NewID: func() string { return id.New("imp") }, Imported: func(string) {},
	})
	file := scopeOf(b, len(ids))
	return []bigWrite{
		{"nothing", func(int) error {
			for range 300 {
				if err := do(create(lines, "")); err != nil {
					return err
				}
			}
			return nil
		}},
		{"create=1000x8KiB", elements(1000, 8<<10)}, {"create=128x64KiB", elements(128, 64<<10-20)},
		{"move=9999", far(min(len(ids), domain.MaxMoved) - 1)}, {fmt.Sprintf("move=%d", len(ids)-1), far(len(ids) - 1)},
		{"reorder=10000", func(round int) error {
			order := slices.Clone(ids[:min(len(ids), domain.MaxMoved)])
			if round%2 == 0 {
				slices.Reverse(order)
			}
			return do(writer.Request{Reorder: &domain.Reorder{Group: lines, Order: order, Actor: author}})
		}},
		{fmt.Sprintf("import=%d", len(ids)), func(int) error {
			_, err := transfers.Import(context.Background(), id.New("scope"), author, bytes.NewReader(file))
			return err
		}},
		{"omit and restore", func(int) error {
			for _, status := range []domain.Status{domain.Omitted, domain.Active} {
				for _, id := range ids[:100] {
					if err := do(writer.Request{Restate: &domain.Restate{Ref: domain.Ref{Group: lines, ID: id}, Status: status, Actor: author}}); err != nil {
						return err
					}
				}
			}
			return nil
		}},
	}
}

// scopeOf returns the file of a scope with n elements.
func scopeOf(b *testing.B, n int) []byte {
	var out bytes.Buffer
	w, err := scopefile.NewWriter(&out, "hamlet")
	require.NoError(b, err)
	at := time.UnixMicro(1_700_000_000_000_000)
	for k := 1; k <= n; k++ {
		ref := domain.Ref{Group: domain.Group{ElementType: "line"}, ID: fmt.Sprint("e", k)}
		require.NoError(b, errors.Join(w.Element(domain.Element{Ref: ref, Number: int64(k), Status: domain.Active, Version: 1, CreatedAt: at, UpdatedAt: at}),
			w.Version(domain.Version{Version: 1, Data: []byte(`{"text":"the words of a line, and some more of them"}`), CreatedAt: at, CreatedBy: "usr_1"})))
	}
	require.NoError(b, w.Close())
	return out.Bytes()
}
