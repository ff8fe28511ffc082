package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
)

func TestOpen_refusesAFileThatIsNoDatabaseAndLeavesItAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "things.db")
	garbage := []byte(strings.Repeat("this is no database ", 500))
	require.NoError(t, os.WriteFile(path, garbage, 0o600))
	_, err := store.Open(context.Background(), store.Config{Dir: dir, Name: "things"})
	require.ErrorIs(t, err, store.ErrDamaged)
	require.NotErrorIs(t, err, store.ErrUnavailable, "waiting does not cure it")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, garbage, after)
}
