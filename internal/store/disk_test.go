package store

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// Readiness ends before the disk does: a small commit would still go into what the write-ahead log holds.
func TestProve_saysThatTheDiskIsNearlyFull(t *testing.T) {
	db, err := Open(t.Context(), Config{Dir: t.TempDir(), Name: "test", Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Prove(t.Context()))
	real := freeBytes
	defer func() { freeBytes = real }()
	freeBytes = func(string) (uint64, error) { return 32 << 10, nil }
	require.ErrorIs(t, db.Prove(t.Context()), ErrFull)
	freeBytes = func(string) (uint64, error) { return spareDisk, nil }
	require.NoError(t, db.Prove(t.Context()))
}
