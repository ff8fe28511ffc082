package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"testing/fstest"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

var onlyTable = []fs.FS{fstest.MapFS{"00100_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id BIGINT PRIMARY KEY);\n")}}}

// threeIn returns the parts of three services in a directory.
func threeIn(dir string) (parts []Part) {
	for _, name := range []string{"kms", "twofactor", "sequence"} {
		parts = append(parts, Part{Name: name, Files: []string{"settings.json"}, Database: store.Config{Name: name, Dir: filepath.Join(dir, name), Migrations: onlyTable}})
	}
	return parts
}

// rowsOf opens a database as its service does, and counts its rows.
func rowsOf(ctx context.Context, c store.Config) (n int, err error) {
	db, err := store.Open(ctx, c)
	if err != nil {
		return 0, err
	}
	return n, errors.Join(db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM things"), db.Close())
}

func archiveOfThree(t *testing.T) (archive []byte, key *age.X25519Identity) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	parts := threeIn(t.TempDir())
	for _, p := range parts {
		db, err := store.Open(t.Context(), p.Database)
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO things (id) VALUES (1)")
			return err
		}))
		require.NoError(t, db.Close())
		require.NoError(t, os.WriteFile(filepath.Join(p.Database.Dir, "settings.json"), []byte("{}"), 0o600))
	}
	var out bytes.Buffer
	_, _, err = Write(t.Context(), &out, parts, Options{Recipients: []age.Recipient{key.Recipient()}, Clock: clock.System})
	require.NoError(t, err)
	return out.Bytes(), key
}

const (
	killedIn = "FOUNTAIN_TEST_RESTORE_IN" // a directory with the archive and its key, in which a process of the test restores
	killedAt = "FOUNTAIN_TEST_RESTORE_AT" // the step before which it is killed
)

// restoreIn restores the archive in dir, and calls step before each step.
func restoreIn(ctx context.Context, dir string, step func(string) error) error {
	text, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	key, err := age.ParseX25519Identity(string(text))
	if err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, "archive")) }
	_, _, err = Restore(ctx, open, threeIn(filepath.Join(dir, "data")), RestoreOptions{Identities: []age.Identity{key}, Clock: clock.System, step: step})
	return err
}

// A restore that is killed while it moves parts into place never leaves a working kms beside a service that opens an empty database.
func TestRestore_killedAtAnyStepOpensNothingByHalf(t *testing.T) {
	if dir := os.Getenv(killedIn); dir != "" {
		at, err := strconv.Atoi(os.Getenv(killedAt))
		require.NoError(t, err)
		n := 0
		require.NoError(t, restoreIn(t.Context(), dir, func(string) error {
			if n++; n > at {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}))
		return
	}
	archive, key := archiveOfThree(t)
	for at := 0; ; at++ {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "archive"), archive, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte(key.String()), 0o600))
		cmd := exec.Command(os.Args[0], "-test.run=^TestRestore_killedAtAnyStepOpensNothingByHalf$")
		cmd.Env = append(os.Environ(), killedIn+"="+dir, killedAt+"="+strconv.Itoa(at))
		out, err := cmd.CombinedOutput()
		parts := threeIn(filepath.Join(dir, "data"))
		if err == nil {
			require.Greater(t, at, 9, "it was killed before each step")
			for _, p := range parts {
				n, err := rowsOf(t.Context(), p.Database)
				require.NoError(t, err)
				require.Equal(t, 1, n)
			}
			return
		}
		wait, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.True(t, ok && wait.Signal() == syscall.SIGKILL, "%v: %s", err, out)
		for _, p := range parts {
			n, err := rowsOf(t.Context(), p.Database)
			if p.Name != "kms" && err == nil {
				require.Equal(t, 1, n, "step %d: %s is whole where it opens", at, p.Name)
				continue
			}
			require.ErrorIs(t, err, store.ErrUnfinished, "step %d: %s", at, p.Name)
			require.ErrorContains(t, err, filepath.Join(p.Database.Dir, store.Staging))
			require.NoFileExists(t, filepath.Join(p.Database.Dir, p.Name+".lock"), "a refused start leaves nothing")
		}
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "data")))
		require.NoError(t, restoreIn(t.Context(), dir, nil), "and the next one succeeds")
		for _, p := range parts {
			n, err := rowsOf(t.Context(), p.Database)
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
	}
}

// The error names the targets that must be emptied.
func TestRestore_namesThePlacesThatMustBeEmptied(t *testing.T) {
	archive, key := archiveOfThree(t)
	dir := t.TempDir()
	parts := threeIn(filepath.Join(dir, "data"))
	full := errors.New("the disk is full")
	_, _, err := Restore(t.Context(), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }, parts,
		RestoreOptions{Identities: []age.Identity{key}, Clock: clock.System, step: func(what string) error {
			if what == "link kms" {
				return full
			}
			return nil
		}})
	require.ErrorIs(t, err, full)
	for _, p := range parts {
		require.ErrorContains(t, err, p.Database.Dir)
	}
	require.NotContains(t, where([]Part{{Name: "kms", Database: store.Config{URL: "postgres://u:secret@h/db"}}}), "secret")
}
