package lifecycle

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/store"
)

// checkpointFile is the suffix of the file in the data directory that holds the newest checkpoint of the audit chain.
const checkpointFile = ".checkpoint"

// OpenAudit opens the audit chain of the service's database, whose key is sealed by the service's data key. Nothing can be changed before. It may be
// called again.
func (s *Service) OpenAudit(ctx context.Context, db *store.DB, sealer audit.Sealer) error {
	chain, err := audit.Open(ctx, db, audit.Options{Service: s.word, Sealer: sealer, Clock: s.config.Clock})
	if err != nil {
		return err
	}
	s.KeepAudit(chain)
	return nil
}

// KeepAudit makes the service write the checkpoints of a chain and verify it until the service ends. Of several chains it keeps the first.
func (s *Service) KeepAudit(chain *audit.Chain) {
	select {
	case s.chain <- chain:
	default:
	}
}

// witness records the checkpoints of this service in a chain of its own.
type witness interface {
	WitnessAudit(ctx context.Context, c audit.Checkpoint, keep time.Duration) (audit.Checkpoint, error)
	AuditOrder(ctx context.Context) (order audit.Order, found bool, err error)
}

var _ witness = (*credential.Source)(nil) // whoever has a credential has the kms as its witness

// order asks the kms which events of the chain are archived and may be removed. Events younger than this service's retention are never among them.
func (s *Service) order(ctx context.Context) (audit.Order, bool, error) {
	o, found, err := s.witness.AuditOrder(ctx)
	o.Keep = s.config.AuditKeep
	return o, found, err
}

// witnessed has the kms record a checkpoint, and how long this service keeps events: an archive of the trail depends on that time.
func (s *Service) witnessed(ctx context.Context, c audit.Checkpoint) (audit.Checkpoint, error) {
	return s.witness.WitnessAudit(ctx, c, s.config.AuditKeep)
}

// keepAudit keeps the chain from the moment it is open.
func (s *Service) keepAudit(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case chain := <-s.chain:
		keeping := audit.Keeping{
			File: filepath.Join(s.config.DataDir, s.word+checkpointFile), Log: s.config.Log, Registerer: s.config.Registerer, Failed: s.CountFailure,
		}
		if s.witness != nil {
			keeping.Witness, keeping.Archive = s.witnessed, s.order
		}
		s.keeper = audit.NewKeeper(chain, keeping)
		return s.keeper.Run(ctx)
	}
}

// closeAudit writes the last checkpoint.
func (s *Service) closeAudit() error {
	if s.keeper == nil {
		return nil
	}
	return s.keeper.Close()
}
