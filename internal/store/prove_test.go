package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func TestProve_writesAndReads(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		require.NoError(t, db.Prove(t.Context()))
		var at int64
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &at, "SELECT proved_at FROM store_proof"))
		require.WithinDuration(t, time.Now(), time.UnixMicro(at), time.Minute)
	})
}

func TestProve_findsWhatHappenedToTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, path string)
		want error
	}{
		"removed":     {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, store.ErrReplaced},
		"replaced":    {replace, store.ErrReplaced},
		"overwritten": {overwrite, store.ErrDamaged},
		"truncated":   {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) }, store.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "things"})
			require.NoError(t, err)
			defer db.Close()
			require.NoError(t, db.Prove(t.Context()))
			c.harm(t, filepath.Join(dir, "things.db"))
			require.ErrorIs(t, db.Prove(t.Context()), c.want)
			err = db.Write(t.Context(), func(context.Context, *store.Tx) error { return nil })
			require.ErrorIs(t, err, c.want, "nothing is acknowledged that would be lost")
		})
	}
}

// A connection that is opened after the file was removed does not create a new one: an empty database would have no tables, which would look like a
// fault of the code.
func TestRead_afterTheFileWasRemovedIsUnavailableAtMost(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "things"})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Prove(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(dir, "things.db")))
	begun, errs := make(chan struct{}), make(chan error, 16)
	for range cap(errs) { // more than the connections that are open
		go func() {
			<-begun
			var at []int64
			errs <- db.Read(t.Context()).Select(t.Context(), &at, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT COUNT(*) + (SELECT proved_at FROM store_proof) FROM n")
		}()
	}
	close(begun)
	refused := 0
	for range cap(errs) {
		if err := <-errs; err != nil {
			require.ErrorIs(t, err, store.ErrUnavailable)
			refused++
		}
	}
	require.Positive(t, refused, "no connection was opened")
	require.NoFileExists(t, filepath.Join(dir, "things.db"))
}

func replace(t *testing.T, path string) {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", content, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func overwrite(t *testing.T, path string) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte(strings.Repeat("no database ", 1000)), 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

func TestOpen_refusesAFileWhosePagesAreBroken(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "things"})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	path := filepath.Join(dir, "things.db")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte(strings.Repeat("\xff", 4096)), 4096) // the second page: the header stays good
	require.NoError(t, err)
	require.NoError(t, file.Close())
	_, err = store.Open(t.Context(), store.Config{Dir: dir, Name: "things"})
	require.ErrorIs(t, err, store.ErrDamaged)
}

func TestOpen_refusesAnEmptyFileBesideALogThatIsNot(t *testing.T) {
	for _, left := range []string{"nothing", "an empty file"} {
		t.Run(left, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "test.db-wal"), []byte("what was not in the file yet"), 0o600))
			if left == "an empty file" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "test.db"), nil, 0o600))
			}
			_, err := store.Open(t.Context(), store.Config{Dir: dir, Name: "test"})
			require.ErrorIs(t, err, store.ErrDamaged)
			require.ErrorContains(t, err, "restore a backup")
			log, err := os.ReadFile(filepath.Join(dir, "test.db-wal"))
			require.NoError(t, err)
			require.Equal(t, "what was not in the file yet", string(log), "nothing was touched")
		})
	}
}
