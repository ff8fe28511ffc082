package reindex

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
)

// known holds the replicas that have reported.
type known map[string]bool

func (k known) Beat(_ context.Context, replica string, _ func() time.Duration) (bool, error) {
	k[replica] = true
	return false, nil
}

func (k known) Active(context.Context) (bool, error) { return false, nil }

func (k known) Leave(_ context.Context, replica string) error {
	delete(k, replica)
	return nil
}

// No reindex waits for a replica that has left. A replica with a write under way does not leave. After leaving it starts no write.
func TestReplica_leavesWithoutWritesUnderWay(t *testing.T) {
	rows := known{}
	r := NewReplica(rows, clock.System)
	_, err := r.Beat(t.Context())
	require.NoError(t, err)
	end, err := r.begin()
	require.NoError(t, err)
	require.NoError(t, r.Leave(t.Context()))
	require.Contains(t, rows, r.ID, "its write is waited for")
	_, err = r.begin()
	require.ErrorIs(t, err, problem.EngineUnavailable)
	end()
	require.NoError(t, r.Leave(t.Context()))
	require.Empty(t, rows)
}
