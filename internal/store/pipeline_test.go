package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var twoIncrements = []store.Statement{
	{Query: "UPDATE counters SET value = value + ? WHERE name = ?", Args: []any{int64(1), "a"}},
	{Query: "INSERT INTO counters (name, value, note) SELECT ?, value, ? FROM counters WHERE name = 'a'", Args: []any{"b", []byte{0, 1}}},
	{Query: "UPDATE counters SET value = 9 WHERE name = 'nobody'"},
}

func TestExecAll_runsInOrderInTheTransaction(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			changed, err := tx.ExecAll(ctx, twoIncrements...)
			require.Equal(t, []int64{1, 1, 0}, changed)
			return err
		}))
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "b"), "it sees what the first has written")
	})
}

func TestExecAll_failsWhole(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		put(t, db, "b", 5)
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecAll(ctx, twoIncrements...)
			require.True(t, store.IsUnique(err))
			require.Error(t, increment(ctx, tx, "a"))
			return nil // an error that was swallowed
		})
		require.True(t, store.IsUnique(err))
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
	})
}

// Whichever statement fails, none of the others is reported as done.
func TestExecAll_failsWhereverTheFaultIs(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		for fault := range 3 {
			statements := []store.Statement{add("a"), add("a"), add("a")}
			statements[fault] = store.Statement{Query: "INSERT INTO counters (name, value) VALUES ('a', 1)"}
			err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				changed, err := tx.ExecAll(ctx, statements...)
				require.True(t, store.IsUnique(err))
				require.Nil(t, changed)
				return nil // an error that was swallowed
			})
			require.True(t, store.IsUnique(err))
			require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
		}
	})
}

func TestExecAll_isTriedAgainAfterADeadlock(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 0)
		put(t, db, "b", 0)
		var group, holding sync.WaitGroup
		holding.Add(2)
		for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
			group.Go(func() {
				first := db.Dialect() == store.PostgreSQL // on SQLite they take turns
				err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					if _, err := tx.ExecAll(ctx, add(order[0])); err != nil {
						return err
					}
					if first {
						first = false
						holding.Done()
						holding.Wait()
					}
					_, err := tx.ExecAll(ctx, add(order[1]), add(order[0]))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 3, value(t, db.Read(t.Context()), "a"))
		require.EqualValues(t, 3, value(t, db.Read(t.Context()), "b"))
	})
}

func TestExecAll_isRolledBackWhenItsContextEndsWhileItWaits(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 0)
		put(t, db, "b", 0)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if err := increment(ctx, tx, "a"); err != nil {
				return err
			}
			short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := db.Write(short, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.ExecAll(ctx, add("b"), add("a"), add("b"))
				return err
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return nil
		}))
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
		require.EqualValues(t, 0, value(t, db.Read(t.Context()), "b"))
	})
}

func TestExecAll_saysThatItsConnectionIsLost(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		if db.Dialect() != store.PostgreSQL {
			t.Skip("SQLite has no connection that can be lost")
		}
		put(t, db, "a", 1)
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecAll(ctx, add("a"), store.Statement{Query: "UPDATE counters SET value = 9 WHERE pg_terminate_backend(pg_backend_pid())"}, add("a"))
			require.ErrorIs(t, err, store.ErrUnavailable)
			return nil // an error that was swallowed
		})
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
	})
}

// add returns a statement that increments a counter.
func add(name string) store.Statement {
	return store.Statement{Query: "UPDATE counters SET value = value + 1 WHERE name = ?", Args: []any{name}}
}

// A transaction whose context has ended will be rolled back. A statement that is sent with another context must not be written, neither in that
// transaction nor outside one.
func TestExecAll_writesNothingAfterItsContextHasEnded(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(_ context.Context, tx *store.Tx) error {
			cancel()
			require.Eventually(t, func() bool {
				_, err := tx.ExecAll(context.WithoutCancel(ctx), store.Statement{Query: "UPDATE counters SET value = value + 1 WHERE name = 'a'"})
				return err != nil
			}, time.Minute, time.Millisecond, "the transaction is rolled back in the end")
			return nil
		})
		require.Error(t, err)
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
	})
}
