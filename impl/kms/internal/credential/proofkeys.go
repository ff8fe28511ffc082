package credential

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ProofRows are the queries of the domain. Keys from before a restore and keys of disabled services do not exist for them.
type ProofRows interface {
	// Register stores a key, or notes that it was registered again.
	Register(ctx context.Context, tx *store.Tx, kid string, public []byte, serviceID string, at time.Time) error
	Key(ctx context.Context, q store.Querier, kid string) (public []byte, found bool, err error)
}

// ProofKeys is the domain of proof keys. It implements auth.KeySource for proofs.
type ProofKeys struct {
	db       *store.DB
	rows     ProofRows
	standing *authority.Standing
	audit    auditlog.Log
	clock    clock.Clock
}

// NewProofKeys returns the domain of proof keys.
func NewProofKeys(db *store.DB, rows ProofRows, standing *authority.Standing, c clock.Clock) *ProofKeys {
	return &ProofKeys{db, rows, standing, auditlog.Log{Clock: c}, c}
}

// Register registers a key of the twofactor service; other callers are refused with domain.Forbidden. The kid must be the key's own thumbprint
// (domain.ValidationFailed), so that a kid never changes its key. Repeating it is safe.
func (s *ProofKeys) Register(ctx context.Context, caller *auth.Principal, kid string, public ed25519.PublicKey) (err error) {
	defer tried.To(&err, "register proof key")
	if len(public) != ed25519.PublicKeySize || subtle.ConstantTimeCompare([]byte(signing.Thumbprint(public)), []byte(kid)) != 1 {
		return domain.Refuse(domain.ValidationFailed, "The kid is not the key's RFC 7638 thumbprint.").
			WithField("path", "kid", "thumbprint", "is not the thumbprint of the key")
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := s.standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		if !held.Caller.Family || held.Caller.Name != authority.Twofactor {
			return domain.Refuse(domain.Forbidden, "Only the twofactor service can register proof keys.")
		}
		if err := s.rows.Register(ctx, tx, kid, public, caller.Subject, domain.Now(s.clock)); err != nil {
			return fmt.Errorf("register proof key: %w", err)
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "putProofKey", Target: kid})
	})
}

// Key implements auth.KeySource.
func (s *ProofKeys) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	public, found, err := s.rows.Key(ctx, s.db.Read(ctx), kid)
	if err != nil {
		return "", nil, fmt.Errorf("find proof key: %w", err)
	}
	if !found || len(public) != ed25519.PublicKeySize {
		return "", nil, auth.ErrUnknownKey
	}
	return signing.EdDSA, ed25519.PublicKey(public), nil
}
