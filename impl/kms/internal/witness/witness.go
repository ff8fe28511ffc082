// Package witness records checkpoints of other services' audit trails in the kms's, and returns a checkpoint of the kms's trail to them. Tampering with one
// trail is thus detected by the other.
package witness

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Witness is the domain of other services' checkpoints.
type Witness struct {
	DB       *store.DB
	Chain    *audit.Chain // the kms's
	Standing *authority.Standing
	Audit    auditlog.Log
}

// Record records a checkpoint of the caller's own trail, and for how many seconds the caller keeps its events (nil: it does not say), and returns a checkpoint of the kms's, which
// covers that record. Another service's is forbidden, one that its own key does not sign validation_failed.
func (w *Witness) Record(ctx context.Context, caller *auth.Principal, c audit.Checkpoint, keptSeconds *int64) (_ audit.Checkpoint, err error) {
	defer tried.To(&err, "record checkpoint")
	if c.Verify(c.PublicKey) != nil {
		return audit.Checkpoint{}, domain.Refuse(domain.ValidationFailed, "The checkpoint is not signed by its key.").
			WithField("body", "/signature", "signature", "does not verify")
	}
	detail := map[string]string{
		"seq": strconv.FormatInt(c.Seq, 10), "hash": base64.StdEncoding.EncodeToString(c.Hash), "at": c.At.UTC().Format(time.RFC3339Nano),
		"publicKey": base64.StdEncoding.EncodeToString(c.PublicKey), "signature": base64.StdEncoding.EncodeToString(c.Signature),
	}
	if keptSeconds != nil {
		detail["keptSeconds"] = strconv.FormatInt(*keptSeconds, 10)
	}
	err = w.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := w.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		if caller.Kind != auth.KindService || held.Caller.Name != c.Service {
			return domain.Refuse(domain.Forbidden, "A service can only report checkpoints of its own audit trail.")
		}
		return w.Audit.Append(ctx, tx, auditlog.Event{Action: "witnessAudit", Target: c.Service, Detail: detail})
	})
	if err != nil {
		return audit.Checkpoint{}, err
	}
	return w.Chain.Checkpoint(ctx)
}
