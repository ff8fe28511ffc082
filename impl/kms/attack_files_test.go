package kms_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The directory of a token file is shared with the service that reads it. Whatever that service puts in the token's place must neither block the kms nor be
// read by it: a pipe would block forever, a directory would not be replaced, and a link could lead anywhere.
func TestEnrolmentFiles_takeThePlaceOfWhateverLiesThere(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	path := filepath.Join(h.dir, "enrol", "search", "token")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	require.NoError(t, os.WriteFile(elsewhere, []byte(h.enrolToken("search")), 0o600))
	for name, put := range map[string]func() error{
		"pipe":      func() error { return syscall.Mkfifo(path, 0o600) },
		"directory": func() error { return os.MkdirAll(filepath.Join(path, "in", "it"), 0o700) },
		"link":      func() error { return os.Symlink(elsewhere, path) },
		"endless":   func() error { return os.WriteFile(path, []byte(strings.Repeat("x", 1<<20)), 0o600) },
	} {
		require.NoError(t, h.stop(), name)
		require.NoError(t, os.Remove(path), name)
		require.NoError(t, put(), name)
		h.run()
		info, err := os.Lstat(path)
		require.NoError(t, err, name)
		require.True(t, info.Mode().IsRegular(), name)
		require.Equal(t, os.FileMode(0o600), info.Mode(), name)
		require.Less(t, info.Size(), int64(100), name)
	}
	require.FileExists(t, elsewhere)
	h.enrol("search")
}
