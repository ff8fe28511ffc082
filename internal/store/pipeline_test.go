package store_test

import (
	"context"
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

// When its context ends database/sql rolls a transaction back by itself, whenever it comes to it. What is sent afterwards must not be written without one.
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
