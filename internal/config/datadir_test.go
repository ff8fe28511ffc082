package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckDataDir_refusesWhatOthersMayWriteTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, CheckDataDir(dir), "it will be made 0700")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for mode, good := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o770: true, 0o777: false, 0o702: false, 0o1777: false} {
		require.NoError(t, os.Chmod(dir, mode))
		err := CheckDataDir(dir)
		require.Equal(t, good, err == nil, "%o: %v", mode, err)
		if err != nil {
			require.ErrorContains(t, err, "chmod 700")
		}
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, 0, 1))
		require.NoError(t, os.Chmod(dir, 0o770))
		require.Error(t, CheckDataDir(dir), "another group's")
		require.NoError(t, os.Chmod(dir, 0o750))
		require.NoError(t, CheckDataDir(dir))
	}
}
