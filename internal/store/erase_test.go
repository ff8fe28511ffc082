package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
)

// What is erased lies nowhere in the files of a SQLite database afterwards, and a failure erases nothing.
func TestErase_leavesNothingInTheFiles(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "test"})
	require.NoError(t, err)
	defer db.Close()
	short, long := strings.Repeat("short canary ", 4), strings.Repeat("long canary ", 4000) // in its own pages
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
