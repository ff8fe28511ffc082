package lifecycle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
)

// toldWitness remembers what it was told.
type toldWitness struct {
	checkpoint audit.Checkpoint
	keep       time.Duration
}

func (w *toldWitness) WitnessAudit(_ context.Context, c audit.Checkpoint, keep time.Duration) (audit.Checkpoint, error) {
	w.checkpoint, w.keep = c, keep
	return audit.Checkpoint{Service: "kms"}, nil
}

func (*toldWitness) AuditOrder(context.Context) (audit.Order, bool, error) {
	return audit.Order{After: 7}, true, nil
}

// What the kms is told, and what an order to remove events is judged by, are one setting.
func TestWitness_tellsHowLongTheServiceKeepsEvents(t *testing.T) {
	c, _ := settings(t)
	c.AuditKeep = 70 * 24 * time.Hour
	s, w := newService(t, c), &toldWitness{}
	s.witness = w
	kms, err := s.witnessed(t.Context(), audit.Checkpoint{Service: "thing", Seq: 3})
	require.NoError(t, err)
	require.Equal(t, "kms", kms.Service)
	require.Equal(t, &toldWitness{audit.Checkpoint{Service: "thing", Seq: 3}, c.AuditKeep}, w)
	order, found, err := s.order(t.Context())
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, audit.Order{After: 7, Keep: c.AuditKeep}, order)
}
