package kms_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/seal"
)

// An archive is accepted if and only if every root key that seals its keysets is in one of the two files.
func TestCheckBackup_takesTheRootKeysOfBothFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	id := func(path string) string {
		root, err := seal.LoadRoot(path)
		require.NoError(t, err)
		return root.ID()
	}
	check := func(roots string) (bool, error) {
		return kms.CheckBackup(kms.Config{RootKeyFile: file}, backup.Manifest{Parts: []backup.Copy{{Name: "kms", Facts: map[string]string{kms.FactUsers: "0", kms.FactRoot: roots}}}}, "", false)
	}
	missing, err := check("root_0000000000000000")
	require.NoError(t, err)
	require.True(t, missing, "it has to be brought back")
	require.NoError(t, seal.CreateRoot(file))
	before := id(file)
	require.NoError(t, seal.ReplaceRoot(file))
	for _, roots := range []string{before, id(file), before + " " + id(file)} { // of before, of after, and of a rotation on its way
		missing, err = check(roots)
		require.NoError(t, err, roots)
		require.False(t, missing)
	}
	for _, roots := range []string{"root_0000000000000000", before + " root_0000000000000000"} {
		_, err = check(roots)
		require.ErrorContains(t, err, "not the root key", roots)
	}
	require.NoError(t, os.WriteFile(seal.PreviousFile(file), make([]byte, 32), 0o600))
	_, err = check(before)
	require.ErrorIs(t, err, seal.ErrRootFile, "the previous file holds no key")
	require.NoError(t, os.Remove(seal.PreviousFile(file)))
	_, err = check(before)
	require.ErrorContains(t, err, "not the root key")
}
