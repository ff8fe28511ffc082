package store

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestCopyTo_holdsWhatIsCommittedAndReplacesNothing(t *testing.T) {
	files := fstest.MapFS{"00010_t.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (n BIGINT NOT NULL PRIMARY KEY);\n-- +goose Down\nDROP TABLE t;\n")}}
	ctx, dir := t.Context(), t.TempDir()
	open := func(dir string) *DB {
		db, err := Open(ctx, Config{Dir: dir, Name: "data", Migrations: []fs.FS{files}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}
	db := open(dir)
	insert := func(n int) error {
		return db.Write(ctx, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO t (n) VALUES (?)", n)
			return err
		})
	}
	require.NoError(t, insert(1))
	copied := filepath.Join(t.TempDir(), "data.db")
	require.NoError(t, db.CopyTo(ctx, copied))
	require.NoError(t, insert(2))
	require.Error(t, db.CopyTo(ctx, copied), "a file that is there stays as it is")
	info, err := os.Stat(copied)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	var numbers []int
	require.NoError(t, open(filepath.Dir(copied)).Read(ctx).Select(ctx, &numbers, "SELECT n FROM t"))
	require.Equal(t, []int{1}, numbers)

	over, cancel := context.WithCancel(ctx)
	cancel()
	failed := filepath.Join(t.TempDir(), "failed.db")
	require.Error(t, db.CopyTo(over, failed))
	require.NoFileExists(t, failed)
}
