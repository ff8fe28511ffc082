package outbox

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

// Messages that are due later must not make a claim slower.
func BenchmarkClaim(b *testing.B) {
	for _, waiting := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			ctx := context.Background()
			db, err := store.Open(ctx, store.Config{Dir: b.TempDir(), URL: os.Getenv("FOUNTAIN_BENCH_POSTGRES_URL"), Name: "bench", Migrations: []fs.FS{Migrations}, Log: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			defer db.Close()
			for from := 0; from < waiting; from += 10_000 {
				keys := make([]string, 10_000)
				for i := range keys {
					keys[i] = fmt.Sprintf("waiting%06d", from+i)
				}
				require.NoError(b, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return EnqueueKeys(ctx, tx, "topic", keys) }))
			}
			now := time.Now()
			require.NoError(b, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE outbox SET due_at = ?, attempts = 3", now.Add(time.Minute).UnixMicro())
				return err
			}))
			w := New(db, Options{Clock: clock.NewFake(now)}, func(context.Context, []Message) error { return nil })
			b.ResetTimer()
			for b.Loop() {
				require.NoError(b, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return Enqueue(ctx, tx, "topic", "one", nil) }))
				n, err := w.once(ctx)
				require.NoError(b, err)
				require.Equal(b, 1, n)
			}
		})
	}
}
