package store_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
)

// BenchmarkVerify measures right codes one after the other: two durable commits, an audit row and a signature each.
// BenchmarkCommit, in the same run, is what the disk gives for one row.
func BenchmarkVerify(b *testing.B) {
	db := benchDB(b)
	now, key := clock.NewFake(start), must1(seal.FromDataKey(seal.NewDataKey()))
	rows := store.New(db)
	proofKey := must1(rows.ProofKey(b.Context(), key, now.Now()))
	seed := must1(totp.NewSeed(zeros{}))
	s := must1(factor.New(b.Context(), factor.Config{
		Repository: rows, Authority: trusting{}, Sealer: key, ProofKey: proofKey, Issuer: "FountainAI", Random: zeros{}, Clock: now, Log: slog.New(slog.DiscardHandler),
	}))
	c := someone()
	e := must1(s.Enrol(b.Context(), c, "", totp.Default, "", nil))
	must1(s.Confirm(b.Context(), c, e.FactorID, must1(totp.Code(seed, totp.Default, totp.Default.Step(start)))))
	for b.Loop() {
		now.Advance(30 * time.Second)
		_, err := s.Verify(b.Context(), c, must1(totp.Code(seed, totp.Default, totp.Default.Step(now.Now()))))
		require.NoError(b, err)
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

// zeros is a source of randomness without any.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}
