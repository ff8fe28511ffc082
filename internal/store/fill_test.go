package store

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// However large the rows are, at most the bound and one more row are buffered before they are written.
func TestTarget_keepsTheBoundOnBytes(t *testing.T) {
	c := Config{Name: "test", Dir: t.TempDir(), Migrations: []fs.FS{fstest.MapFS{"00100_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id BIGINT PRIMARY KEY, body BLOB NOT NULL);\n")}}}}
	const size = bytesPerInsert / 3
	body := bytes.Repeat([]byte{'x'}, size)
	f, err := Fill(t.Context(), c, []int64{1, 100}, func(ctx context.Context, l *Loader) error {
		target, err := l.Into(ctx, CopiedTable{Name: "things", Columns: []string{"id", "body"}})
		if err != nil {
			return err
		}
		for i := range 20 {
			if err := target.Add(ctx, []any{int64(i), body}); err != nil {
				return err
			}
			require.LessOrEqual(t, target.rows*size, bytesPerInsert, "row %d", i)
		}
		return target.Flush(ctx)
	})
	require.NoError(t, err)
	require.NoError(t, f.Finish(t.Context()))
	db, err := Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	var n int
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM things"))
	require.Equal(t, 20, n)
}

// A database beside the rest of an unfinished restore is not opened, and nothing is created there.
func TestOpen_refusesBesideAnUnfinishedRestore(t *testing.T) {
	c := Config{Name: "test", Dir: t.TempDir()}
	staging := filepath.Join(c.Dir, Staging)
	require.NoError(t, os.Mkdir(staging, 0o700))
	_, err := Open(t.Context(), c)
	require.ErrorIs(t, err, ErrUnfinished)
	entries, err := os.ReadDir(c.Dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.NoError(t, os.Remove(staging))
	db, err := Open(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
