package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// An export contains private data, and opening an existing file would keep its permissions.
func TestWriteOut_takesNoFileThatIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.ndjson")
	require.NoError(t, os.WriteFile(file+".part", nil, 0o666))
	secret := func(w io.Writer) error {
		_, err := io.WriteString(w, "secret")
		return err
	}
	require.ErrorContains(t, writeOut(file, secret), "remove it")
	left, err := os.ReadFile(file + ".part")
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoFileExists(t, file)

	require.NoError(t, os.Remove(file+".part"))
	require.NoError(t, writeOut(file, secret))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, writeOut(file+"2", func(io.Writer) error { return io.ErrUnexpectedEOF }), io.ErrUnexpectedEOF)
	require.NoFileExists(t, file+"2")
	require.NoFileExists(t, file+"2.part")
}
