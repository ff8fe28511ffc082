package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/cmd/fountain/internal/documents"
)

// importing opens the failures file as run does.
func importing(t *testing.T, path, failed string) (*documentImport, error) {
	d := &documentImport{path: path, failedPath: failed}
	d.Collection = "plays"
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	if _, err := d.find(file); err != nil {
		return d, err
	}
	err = d.openFailed(file)
	if err == nil {
		t.Cleanup(func() { require.NoError(t, d.failed.Close()) })
	}
	return d, err
}

func content(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

func TestImport_writesNoFailuresOverTheFilesThatItNeeds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plays.ndjson")
	const text = `{"id":"1"}`
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	hard, soft := filepath.Join(dir, "hard"), filepath.Join(dir, "soft")
	require.NoError(t, os.Link(path, hard))
	require.NoError(t, os.Symlink(path, soft))
	for _, failed := range []string{path, dir + "/./plays.ndjson", hard, soft, path + ".progress", path + ".progress.new"} {
		_, err := importing(t, path, failed)
		require.ErrorContains(t, err, "--failed must be another file", failed)
		require.Equal(t, text, content(t, path), failed)
		require.NoFileExists(t, path+".progress", failed)
		require.NoFileExists(t, path+".progress.new", failed)
	}
	d, err := importing(t, path, path+".failed")
	require.NoError(t, err)
	require.NoError(t, d.keep(documents.Position{}))
	progress := content(t, path+".progress")
	require.NoError(t, os.Link(path+".progress", filepath.Join(dir, "linked")))
	d.failedPath, d.begun.Failed = filepath.Join(dir, "linked"), filepath.Join(dir, "linked")
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	require.ErrorContains(t, d.openFailed(file), "--failed must be another file")
	require.Equal(t, progress, content(t, path+".progress"))
}

func TestImport_goesOnInTheFileOfItsFailuresAlone(t *testing.T) {
	dir := t.TempDir()
	path, failed, foreign := filepath.Join(dir, "plays.ndjson"), filepath.Join(dir, "failed"), filepath.Join(dir, "foreign")
	require.NoError(t, os.WriteFile(path, []byte(`{"id":"1"}`), 0o600))
	require.NoError(t, os.WriteFile(foreign, []byte("what somebody else has written here"), 0o600))
	d, err := importing(t, path, failed)
	require.NoError(t, err)
	require.NoError(t, d.note(documents.Failure{Line: 1, Code: "invalid_body"}))
	require.NoError(t, d.keep(documents.Position{Lines: 1, Failed: 1}))
	kept := content(t, failed)
	require.NoError(t, d.note(documents.Failure{Line: 2, Code: "invalid_body"}))

	_, err = importing(t, path, foreign)
	require.ErrorContains(t, err, "in another file")
	require.Equal(t, "what somebody else has written here", content(t, foreign))
	_, err = importing(t, path, filepath.Join(dir, "new"))
	require.ErrorContains(t, err, "in another file")
	require.NoFileExists(t, filepath.Join(dir, "new"))

	t.Chdir(dir)
	_, err = importing(t, "plays.ndjson", "failed")
	require.NoError(t, err, "the same files by other names")
	require.Equal(t, kept, content(t, failed), "what came after the position is cut")
	require.NoError(t, os.Truncate(failed, 3))
	_, err = importing(t, path, failed)
	require.ErrorContains(t, err, "shorter")
	require.Equal(t, kept[:3], content(t, failed), "no NULs are written")

	var old map[string]any
	require.NoError(t, json.Unmarshal([]byte(content(t, path+".progress")), &old))
	require.Equal(t, failed, old["failedPath"])
}

// The progress of a small file is shown in bytes, because in KiB it would stay zero until the end.
func TestImport_tellsTheProgressOfSmallFilesInBytes(t *testing.T) {
	for size, want := range map[int64]string{0: "bytes", 900: "bytes", 1<<20 - 1: "bytes", 1 << 20: "KiB", 1 << 40: "KiB"} {
		unit, shift := unitOf(size)
		require.Equal(t, want, unit, size)
		require.True(t, size == 0 || size>>shift > 0, size)
	}
}
