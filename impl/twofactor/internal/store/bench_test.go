package store_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
)

// BenchmarkVerify measures right codes one after the other: a durable mark, an audit event and a signature each. BenchmarkCommit, in the same run, is what
// the disk gives for one row.
func BenchmarkVerify(b *testing.B) {
	w := newBench(b)
	one := w.someone(b)
	for b.Loop() {
		one.verify(b)
	}
}

// BenchmarkVerifyOfMany measures the same for 64 subjects at once.
func BenchmarkVerifyOfMany(b *testing.B) {
	const clients = 64
	w := newBench(b)
	all := make([]*benchSubject, clients)
	for i := range all {
		all[i] = w.someone(b)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	together(clients, func(i int) {
		for left.Add(-1) >= 0 {
			all[i].verify(b)
		}
	})
}

// benchWorld is the rules on one database.
type benchWorld struct{ service *factor.Service }

type benchSubject struct {
	service *factor.Service
	caller  factor.Caller
	seed    []byte
	now     *clock.Fake
}

// benchKey seals what the benchmarks store: one for all, for on PostgreSQL they share a database.
var benchKey = sync.OnceValue(func() *seal.Key { return must1(seal.FromDataKey(seal.NewDataKey())) })

func newBench(b *testing.B) *benchWorld {
	b.Helper()
	db := benchDB(b)
	key := benchKey()
	rows := newStore(b, db)
	return &benchWorld{must1(factor.New(factor.Config{
		Repository: rows, Authority: trusting{}, Sealer: key, ProofKey: must1(rows.ProofKey(b.Context(), key, start)), Issuer: "FountainAI", Random: zeros{},
		Clock: clock.NewFake(start), Log: slog.New(slog.DiscardHandler),
	}))}
}

// someone is a subject with an active factor, and with a clock that shows a new step for each of its codes.
func (w *benchWorld) someone(b *testing.B) *benchSubject {
	b.Helper()
	s := &benchSubject{caller: someone(), seed: must1(totp.NewSeed(zeros{})), now: clock.NewFake(start)}
	config := w.service.Config
	config.Clock = s.now
	s.service = must1(factor.New(config))
	e := must1(s.service.Enrol(b.Context(), s.caller, "", totp.Default, "", nil))
	must1(s.service.Confirm(b.Context(), s.caller, e.FactorID, must1(totp.Code(s.seed, totp.Default, totp.Default.Step(start)))))
	return s
}

func (s *benchSubject) verify(b *testing.B) {
	s.now.Advance(30 * time.Second)
	_, err := s.service.Verify(b.Context(), s.caller, must1(totp.Code(s.seed, totp.Default, totp.Default.Step(s.now.Now()))))
	if err != nil {
		b.Error(err)
	}
}

// BenchmarkCommit measures durable commits of one row, one after the other.
func BenchmarkCommit(b *testing.B) {
	db := benchDB(b)
	for b.Loop() {
		require.NoError(b, db.Write(b.Context(), func(ctx context.Context, tx *base.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE restore_mark SET not_before = not_before + 1")
			return err
		}))
	}
}

// benchDB opens PostgreSQL where FOUNTAIN_BENCH_POSTGRES_URL names a database to be filled, else SQLite.
func benchDB(b *testing.B) *base.DB {
	b.Helper()
	db, err := base.Open(b.Context(), base.Config{
		URL: os.Getenv("FOUNTAIN_BENCH_POSTGRES_URL"), Dir: b.TempDir(), Name: "bench", Migrations: migrations, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	return db
}

// zeros is a source of randomness without any for seeds.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	if len(p) != totp.SeedSize {
		return rand.Read(p)
	}
	clear(p)
	return len(p), nil
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}
