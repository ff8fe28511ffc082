package store_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func migration(number, up string) fs.FS {
	return fstest.MapFS{number + "_test.sql": {Data: []byte("-- +goose Up\n" + up + "\n-- +goose Down\n")}}
}

var counters = []fs.FS{migration("00100", `
CREATE TABLE counters (
  name  TEXT   PRIMARY KEY,
  value BIGINT NOT NULL,
  note  BLOB
);`)}

func put(t *testing.T, db *store.DB, name string, value int64) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO counters (name, value) VALUES (?, ?)", name, value)
		return err
	}))
}

func value(t *testing.T, q store.Querier, name string) int64 {
	t.Helper()
	var v int64
	require.NoError(t, q.Get(t.Context(), &v, "SELECT value FROM counters WHERE name = ?", name))
	return v
}

func increment(ctx context.Context, tx *store.Tx, name string) error {
	var v int64
	return tx.Get(ctx, &v, "UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value", name)
}

func TestWrite_commitsOnNilAndRollsBackOnErrorAndPanic(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)

		mine := errors.New("mine")
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, increment(ctx, tx, "a"))
			return mine
		})
		require.True(t, err == mine, "the function's own error, unchanged")
		require.PanicsWithValue(t, "boom", func() {
			_ = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				require.NoError(t, increment(ctx, tx, "a"))
				panic("boom")
			})
		})
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return increment(ctx, tx, "a")
		}), "the writer is free again")
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "a"))
	})
}

func TestWrite_refusesAWriteInsideAWrite(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		err := db.Write(t.Context(), func(ctx context.Context, _ *store.Tx) error {
			require.True(t, db.Writing(ctx))
			return db.Write(ctx, func(context.Context, *store.Tx) error {
				t.Error("the inner function ran")
				return nil
			})
		})
		require.ErrorIs(t, err, store.ErrNested)
		require.False(t, db.Writing(t.Context()))
	})
}

func TestRead_insideAWriteSeesTheTransaction(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, increment(ctx, tx, "a"))
			require.EqualValues(t, 2, value(t, db.Read(ctx), "a"))
			require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"), "others see what is committed")
			return db.View(ctx, func(_ context.Context, q store.Querier) error {
				require.EqualValues(t, 2, value(t, q, "a"))
				return nil
			})
		}))
	})
}

func TestView_isOneSnapshot(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		require.NoError(t, db.View(t.Context(), func(ctx context.Context, q store.Querier) error {
			require.EqualValues(t, 1, value(t, q, "a"))
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return increment(ctx, tx, "a")
			}))
			require.EqualValues(t, 1, value(t, q, "a"), "the snapshot did not move")
			_, err := q.Exec(ctx, "DELETE FROM counters")
			require.ErrorIs(t, err, store.ErrReadOnly)
			return nil
		}))
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "a"))
	})
}

func TestQuerier_scansRowsAndKeepsNoRows(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		note := []byte{0, 1, 0xff}
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			var missing int64
			require.ErrorIs(t, tx.Get(ctx, &missing, "SELECT value FROM counters WHERE name = ?", "none"), sql.ErrNoRows)
			rows, err := tx.Exec(ctx, "INSERT INTO counters (name, value, note) VALUES (?, ?, ?), (?, ?, ?)", "b", 2, note, "A", 1, note)
			require.EqualValues(t, 2, rows)
			return err // a missing row did not break the transaction
		}))
		type counter struct {
			Name  string
			Value int64
			Note  []byte
		}
		var all []counter
		require.NoError(t, db.Read(t.Context()).Select(t.Context(), &all, "SELECT name, value, note FROM counters ORDER BY name"))
		require.Equal(t, []counter{{"A", 1, note}, {"b", 2, note}}, all, "by byte, not by locale")
		_, err := db.Read(t.Context()).Exec(t.Context(), "DELETE FROM counters")
		require.ErrorIs(t, err, store.ErrReadOnly)
	})
}

func TestTx_failsWholeAfterAFailedStatement(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, increment(ctx, tx, "a"))
			_, err := tx.Exec(ctx, "INSERT INTO counters (name, value) VALUES (?, 1)", "a")
			require.True(t, store.IsUnique(err))
			require.Error(t, increment(ctx, tx, "a"), "as on PostgreSQL, so on SQLite")
			return nil // an error that was swallowed
		})
		require.Error(t, err)
		require.True(t, store.IsUnique(err))
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
	})
}

func TestWrite_losesNothingUnderConcurrency(t *testing.T) {
	const writers, each = 64, 10
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		replicas := []*store.DB{open(t), open(t)}
		put(t, replicas[0], "a", 0)
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				db := replicas[w%2]
				for range each {
					err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						// A read first: with a deferred transaction SQLite answers SQLITE_BUSY here.
						var v int64
						if err := tx.Get(ctx, &v, "SELECT value FROM counters WHERE name = 'a'"); err != nil {
							return err
						}
						return increment(ctx, tx, "a")
					})
					if err != nil {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		group.Wait()
		require.EqualValues(t, writers*each, value(t, replicas[0].Read(t.Context()), "a"))
	})
}

func TestWrite_runsAgainAfterADeadlock(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		if db.Dialect() == store.SQLite {
			return // one writer cannot deadlock; TestWrite_losesNothingUnderConcurrency is its test
		}
		put(t, db, "a", 0)
		put(t, db, "b", 0)
		var both, group sync.WaitGroup
		both.Add(2)
		runs := make([]int, 2)
		for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
			group.Go(func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					runs[i]++
					if err := increment(ctx, tx, order[0]); err != nil {
						return err
					}
					if runs[i] == 1 {
						both.Done()
						both.Wait() // each now holds the row that the other one needs
					}
					if increment(ctx, tx, order[1]) != nil {
						return errors.New("some other error") // hiding the cause does not hide it from Write
					}
					return nil
				})
				if err != nil {
					t.Errorf("write: %v", err)
				}
			})
		}
		group.Wait()
		require.Equal(t, 3, runs[0]+runs[1], "exactly one ran again")
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "a"))
		require.EqualValues(t, 2, value(t, db.Read(t.Context()), "b"))
	})
}

func TestOpen_keepsDataAndRunsOnlyNewMigrations(t *testing.T) {
	storetest.EachConfig(t, counters, func(t *testing.T, c store.Config) {
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		put(t, db, "a", 7)
		require.NoError(t, db.Close())

		// A shared package with low migration numbers is added later.
		c.Migrations = append([]fs.FS{migration("00012", "CREATE TABLE later (id TEXT PRIMARY KEY);")}, counters...)
		db, err = store.Open(t.Context(), c)
		require.NoError(t, err)
		require.EqualValues(t, 7, value(t, db.Read(t.Context()), "a"))
		var n int
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM later"))
		require.NoError(t, db.Close())

		c.Migrations = counters
		_, err = store.Open(t.Context(), c)
		require.ErrorIs(t, err, store.ErrNewer, "an older binary must not touch it")
	})
}

func TestOpen_leavesNothingOfAFailedMigration(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		c.Migrations = []fs.FS{migration("00100", "CREATE TABLE one (id TEXT PRIMARY KEY);\nCREATE TABLE two (nonsense;")}
		_, err := store.Open(t.Context(), c)
		require.Error(t, err)
		c.Migrations = []fs.FS{migration("00100", "CREATE TABLE one (id TEXT PRIMARY KEY);")}
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err, "the lock is released and the first table was rolled back")
		require.NoError(t, db.Close())
	})
}

func TestOpen_refusesTheSameMigrationNumberTwice(t *testing.T) {
	c := store.Config{Dir: t.TempDir(), Name: "test", Migrations: append(counters, counters...)}
	_, err := store.Open(t.Context(), c)
	require.ErrorContains(t, err, "exists twice")
}

func TestOpen_letsReplicasStartTogether(t *testing.T) {
	storetest.EachConfig(t, counters, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite has one process: TestOpen_locksTheSQLiteFile
		}
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				db, err := store.Open(t.Context(), c)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if err := db.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		group.Wait()
	})
}

func TestOpen_locksTheSQLiteFile(t *testing.T) {
	c := store.Config{Dir: t.TempDir(), Name: "test", Migrations: counters, Log: slog.New(slog.DiscardHandler)}
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	_, err = store.Open(t.Context(), c)
	require.ErrorIs(t, err, store.ErrLocked)
	require.NoError(t, db.Close())
	db, err = store.Open(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestOpen_createsFilesForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20", "kms") // every character a file URL could trip over
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "kms", Migrations: counters, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	put(t, db, "a", 1)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		info, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
	require.Equal(t, []string{"kms.db", "kms.db-shm", "kms.db-wal", "kms.lock"}, names)
}

func TestOpen_refusesBadNames(t *testing.T) {
	for _, name := range []string{"", "../kms", "KMS", "a/b", "a b"} {
		_, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: name})
		require.Error(t, err, name)
	}
}
