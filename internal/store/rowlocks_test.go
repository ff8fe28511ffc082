package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func both() store.Rows {
	return store.Rows{Table: "counters", Key: []string{"name"}, Where: "name IN (?, ?)", Args: []any{"a", "z"}}
}

// A transaction that has locked the first of the rows and then the last meets another one that changes both: neither has to run again. The rows are
// stored in the reverse order of their keys, and are found in that order.
func TestRows_areLockedInTheOrderOfTheirKeys(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		if db.Dialect() == store.SQLite {
			return // one writer cannot deadlock
		}
		put(t, db, "z", 0)
		put(t, db, "a", 0)
		var runs [2]int
		done := make(chan error, 1)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			runs[0]++
			require.NoError(t, increment(ctx, tx, "a"))
			if runs[0] == 1 {
				go func() {
					done <- db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						runs[1]++
						if err := both().Lock(ctx, tx); err != nil {
							return err
						}
						_, err := tx.Exec(ctx, "UPDATE counters SET value = value + 1")
						return err
					})
				}()
			}
			for waiting := 0; waiting == 0; {
				require.NoError(t, tx.Get(ctx, &waiting, "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"))
			}
			return increment(ctx, tx, "z")
		}))
		require.NoError(t, <-done)
		require.Equal(t, [2]int{1, 1}, runs)
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "a"))
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "z"))
	})
}

// A cleanup waits for no row: one that another transaction has locked is left for the next time.
func TestRows_clearAwayWithoutWaiting(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 0)
		put(t, db, "z", 0)
		clear := func(change func(ctx context.Context, tx *store.Tx) (int64, error)) (n int64) {
			require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = change(ctx, tx)
				return err
			}))
			return n
		}
		update := func(ctx context.Context, tx *store.Tx) (int64, error) { return both().Update(ctx, tx, "value = 7") }
		if db.Dialect() == store.PostgreSQL {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				require.NoError(t, increment(ctx, tx, "a"))
				require.EqualValues(t, 1, clear(update))
				require.EqualValues(t, 1, clear(both().Delete))
				return nil
			}))
			require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
			put(t, db, "z", 0)
		}
		require.EqualValues(t, 2, clear(update))
		require.EqualValues(t, 7, value(t, db.Read(t.Context()), "z"))
		require.EqualValues(t, 2, clear(both().Delete))
	})
}
