package store

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// The service stops being ready before the disk is full: a small commit would still fit into the space that the write-ahead log has already.
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
