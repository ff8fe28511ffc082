package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
)

// Erased values are nowhere in the files of a SQLite database afterwards, and after a failure nothing is erased.
func TestErase_leavesNothingInTheFiles(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "test"})
	require.NoError(t, err)
	defer db.Close()
	short, long := strings.Repeat("short canary ", 4), strings.Repeat("long canary ", 4000) // on pages of its own
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TABLE kept (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO kept (id, text) VALUES (1, ?), (2, ?), (3, 'stays')", short, long)
		return err
	}))
	lies := func() bool {
		for _, name := range []string{"test.db", "test.db-wal"} {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			if bytes.Contains(raw, []byte("canary")) {
				return true
			}
		}
		return false
	}
	require.True(t, lies())
	failed := errors.New("failed")
	_, err = db.Erase(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM kept"); err != nil {
			return err
		}
		return failed
	})
	require.ErrorIs(t, err, failed)
	require.True(t, lies())
	remains, err := db.Erase(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE kept SET text = '' WHERE id = 1"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM kept WHERE id = 2")
		return err
	})
	require.NoError(t, err)
	require.Zero(t, remains)
	require.False(t, lies())
	var kept string
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &kept, "SELECT text FROM kept WHERE id = 3"))
	require.Equal(t, "stays", kept)
}

// A growing record moves within its page or to another one, and pages are split. Its old copies are overwritten, too.
func TestErase_leavesNothingOfRecordsThatMoved(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "test"})
	require.NoError(t, err)
	defer db.Close()
	write := func(query string, args ...any) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, query, args...)
			return err
		}))
	}
	write("CREATE TABLE versions (name TEXT NOT NULL, number BIGINT NOT NULL, key BLOB NOT NULL, sealed BLOB NOT NULL, deleted_at BIGINT, PRIMARY KEY (name, number))")
	random := rand.New(rand.NewPCG(1, 2)) // the same at every run
	const count = 400
	canary := func(n int) []byte { return fmt.Appendf(nil, "<canary %04d>", n) }
	for _, n := range random.Perm(count) { // so that pages are split in their middle
		write("INSERT INTO versions (name, number, key, sealed) VALUES (?, ?, ?, ?)", fmt.Sprintf("secret.%02d", n%17), n, canary(n), bytes.Repeat(canary(n), 1+random.IntN(400)))
	}
	for _, n := range random.Perm(count) {
		write("UPDATE versions SET deleted_at = ? WHERE number = ?", int64(1)<<50, n)
	}
	for n := range count / 2 {
		remains, err := db.Erase(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE versions SET key = ?, sealed = ? WHERE number = ?", []byte{}, []byte{}, n)
			return err
		})
		require.NoError(t, err)
		require.Zero(t, remains)
	}
	for _, name := range []string{"test.db", "test.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		for n := range count / 2 {
			require.False(t, bytes.Contains(raw, canary(n)), "%d in %s", n, name)
		}
		require.Equal(t, name == "test.db", bytes.Contains(raw, canary(count-1)))
	}
}

// While a reader such as a backup holds the write-ahead log, Erase and other writers wait only for a moment. The log is emptied after that reader has
// finished.
func TestErase_emptiesTheLogWhenItsReaderHasGone(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "test"})
	require.NoError(t, err)
	defer db.Close()
	run := func(query string) func(ctx context.Context, tx *store.Tx) error {
		return func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, query)
			return err
		}
	}
	require.NoError(t, db.Write(t.Context(), run("CREATE TABLE kept (text TEXT NOT NULL)")))
	require.NoError(t, db.Write(t.Context(), run("INSERT INTO kept (text) VALUES ('canary')")))
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.Snapshot(context.WithoutCancel(t.Context()), func(context.Context, *store.Snapshot) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	soon, cancel := context.WithTimeout(t.Context(), 8*time.Second) // two busy timeouts are 10 s
	defer cancel()
	for range 2 { // a caller that comes while the first one waits gets the same answer
		remains, err := db.Erase(t.Context(), run("UPDATE kept SET text = ''"))
		require.NoError(t, err)
		require.Equal(t, store.Remains{Log: true}, remains)
	}
	var timeout int64
	require.NoError(t, db.Write(soon, func(ctx context.Context, tx *store.Tx) error { return tx.Get(ctx, &timeout, "PRAGMA busy_timeout") }))
	require.EqualValues(t, 5000, timeout, "other statements wait as before")
	lies := func() bool {
		raw, err := os.ReadFile(filepath.Join(dir, "test.db-wal"))
		require.NoError(t, err)
		return bytes.Contains(raw, []byte("canary"))
	}
	require.True(t, lies())
	close(release)
	require.NoError(t, <-ended)
	require.Eventually(t, func() bool { return !lies() }, 30*time.Second, 10*time.Millisecond)
}

// A file to which an older release has written may contain values that the release freed without overwriting.
func TestErase_tellsOfFilesOfOlderReleases(t *testing.T) {
	c := store.Config{Dir: t.TempDir(), Name: "test"}
	erase := func() (remains store.Remains) {
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		defer db.Close()
		remains, err = db.Erase(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "PRAGMA user_version = 0") // as older releases left it
			return err
		})
		require.NoError(t, err)
		return remains
	}
	for range 2 {
		require.Equal(t, store.Remains{Free: true}, erase())
	}
}
