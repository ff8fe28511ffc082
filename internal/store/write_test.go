package store_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// Wherever a function panics, its transaction is rolled back, and the only connection can be used by the next one.
func TestWrite_leavesNothingBehindWhenItsFunctionPanics(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		boom := func([]any) error { panic("boom") }
		for _, work := range []func(ctx context.Context, tx *store.Tx) error{
			func(context.Context, *store.Tx) error { panic("boom") },
			func(ctx context.Context, tx *store.Tx) error {
				return tx.SelectFirst(ctx, boom, "SELECT name FROM counters")
			},
			func(ctx context.Context, tx *store.Tx) error {
				require.NoError(t, later(ctx, tx, add("a")))
				return tx.SelectFirst(ctx, boom, "SELECT name FROM counters")
			},
			func(ctx context.Context, tx *store.Tx) error {
				tx.AtEnd(store.LastCommit, func(context.Context) error { panic("boom") })
				return later(ctx, tx, add("a"))
			},
		} {
			require.PanicsWithValue(t, "boom", func() { _ = db.Write(t.Context(), work) })
			require.Equal(t, []int64{1}, values(t, db, "a"))
			put(t, db, "b", 1)
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return later(ctx, tx, store.Statement{Query: "DELETE FROM counters WHERE name = 'b'"})
			}))
		}
	})
}

// Whenever a context ends, exactly the writes for which Write returned nil are stored, and the only connection can be used by the next one.
func TestWrite_isAllOrNothingWheneverItsContextEnds(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		want := int64(1)
		for n := range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			if n%2 == 1 {
				ctx = store.Brief(ctx)
			}
			end := time.AfterFunc(rand.N(2*time.Millisecond), cancel)
			err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := increment(ctx, tx, "a"); err != nil {
					return err
				}
				return later(ctx, tx, add("a"))
			})
			end.Stop()
			cancel()
			if err == nil {
				want += 2
			}
		}
		require.Equal(t, want, values(t, db, "a")[0])
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") }))
	})
}

func TestTx_runsNothingWhenItIsOver(t *testing.T) {
	onlyOne(t, func(t *testing.T, db *store.DB) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tx.AfterCommit(func() {
				require.ErrorIs(t, increment(ctx, tx, "a"), sql.ErrTxDone)
				_, err := tx.ExecAll(ctx, add("a"))
				require.ErrorIs(t, err, sql.ErrTxDone)
			})
			return later(ctx, tx, add("a"))
		}))
		require.Equal(t, []int64{2}, values(t, db, "a"))
	})
}

// A COMMIT whose answer is lost may have happened. It is not run again, and is reported as unknown, however the answer was lost.
func TestWrite_tellsThatTheAnswerOfACommitIsLost(t *testing.T) {
	storetest.EachConfig(t, counters, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite has no connection to lose
		}
		direct, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		defer direct.Close()
		put(t, direct, "a", 0)
		for _, cut := range []bool{true, false} {
			for _, putOff := range []bool{true, false} {
				before := value(t, direct.Read(t.Context()), "a")
				runs := loseCommit(t, c, cut, putOff)
				require.Equal(t, 1, runs)
				if cut { // then PostgreSQL had answered
					require.Equal(t, before+4, value(t, direct.Read(t.Context()), "a"))
				}
			}
		}
	})
}

// loseCommit commits a transaction twice, with or without a deferred statement. The answer to the second commit is lost, with or without the
// connection. It returns how often the second one was run.
func loseCommit(t *testing.T, c store.Config, cut, putOff bool) (runs int) {
	address, err := url.Parse(c.URL)
	require.NoError(t, err)
	w := newWire(t, address.Host)
	address.Host = w.Addr().String()
	c.URL, c.MaxConns = address.String(), 1
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	db.EndWithin(time.Second)
	work := func(before func()) error {
		return db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			runs++
			if !putOff {
				require.NoError(t, increment(ctx, tx, "a"))
			}
			require.NoError(t, increment(ctx, tx, "a"))
			before()
			tx.AfterCommit(func() { require.Nil(t, w.lose.Load(), "nobody knows of a commit") })
			if putOff {
				return later(ctx, tx, add("a"))
			}
			return nil
		})
	}
	require.NoError(t, work(func() {})) // its statements are prepared after this
	runs = 0
	lost := func() {}
	if cut {
		lost = w.cut
	}
	err = work(func() { w.lose.Store(&lost) })
	require.ErrorIs(t, err, store.ErrUnavailable)
	return runs
}

// Another process, for example one that copies the file, holds the lock of the SQLite file for a while. A write that waits for the lock ends with its
// context, and the next one succeeds.
func TestWrite_leavesAFileThatSomebodyHolds(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "test", Migrations: counters})
	require.NoError(t, err)
	defer db.Close()
	put(t, db, "a", 1)
	other, err := sql.Open("sqlite", filepath.Join(dir, "test.db"))
	require.NoError(t, err)
	defer other.Close()
	for range 3 {
		holder, err := other.Conn(t.Context())
		require.NoError(t, err)
		_, err = holder.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") })
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = holder.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, holder.Close())
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") }))
	}
	require.Equal(t, []int64{4}, values(t, db, "a"))
}
