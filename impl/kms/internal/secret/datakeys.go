package secret

import (
	"context"

	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// Keyrings is the domain of keyrings.
type Keyrings struct {
	db    *store.DB
	vault *vault.Vault
	names Names
	audit domain.AuditLog
}

// NewKeyrings returns the domain of keyrings.
func NewKeyrings(db *store.DB, v *vault.Vault, names Names, c clock.Clock) *Keyrings {
	return &Keyrings{db, v, names, domain.AuditLog{Clock: c}}
}

// DataKey is a data key in clear and wrapped by its keyring.
type DataKey struct{ Plain, Wrapped []byte }

// Create makes a data key. A service uses only the keyring of its own name (forbidden).
func (s *Keyrings) Create(ctx context.Context, caller *auth.Principal, name string) (DataKey, error) {
	keyset, err := s.keyset(ctx, caller, name)
	if err != nil {
		return DataKey{}, err
	}
	plain := seal.NewDataKey()
	wrapped, err := keyset.Seal(plain, aad(name))
	if err != nil {
		return DataKey{}, err
	}
	return DataKey{plain, wrapped}, s.record(ctx, "createDataKey", name)
}

// Unwrap opens a wrapped data key; validation_failed when this keyring has not wrapped it.
func (s *Keyrings) Unwrap(ctx context.Context, caller *auth.Principal, name string, wrapped []byte) (DataKey, error) {
	keyset, err := s.keyset(ctx, caller, name)
	if err != nil {
		return DataKey{}, err
	}
	plain, err := keyset.Open(wrapped, aad(name))
	if err != nil {
		return DataKey{}, domain.Refuse(domain.ValidationFailed, "This keyring has not wrapped that.").
			WithField("body", "/wrapped", "sealed", "does not open under this keyring").Because(err)
	}
	return DataKey{plain, wrapped}, s.record(ctx, "unwrapDataKey", name)
}

func (s *Keyrings) keyset(ctx context.Context, caller *auth.Principal, name string) (*seal.Keyset, error) {
	word, err := s.names.Name(ctx, caller.Subject)
	if err != nil {
		return nil, err
	}
	if caller.Kind != auth.KindService || word == "" || word != name {
		return nil, domain.Refuse(domain.Forbidden, "A service uses only the keyring that has its name.")
	}
	return s.vault.AEAD(ctx, vault.KeyringPrefix+name)
}

// record writes the event before the key is handed out: a key that cannot be recorded is not given.
func (s *Keyrings) record(ctx context.Context, action, name string) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.audit.Append(ctx, tx, domain.Event{Action: action, Target: name})
	})
}

func aad(name string) []byte { return []byte("keyring:" + name) }
