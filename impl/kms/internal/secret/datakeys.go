package secret

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Keyrings is the domain of the data keys of services, each of which has a keyring of its own name.
type Keyrings struct {
	db       *store.DB
	vault    *vault.Vault
	standing *authority.Standing
	audit    auditlog.Log
}

// NewKeyrings returns the domain of the data keys of services.
func NewKeyrings(db *store.DB, v *vault.Vault, standing *authority.Standing, c clock.Clock) *Keyrings {
	return &Keyrings{db, v, standing, auditlog.Log{Clock: c}}
}

// DataKey is a data key in clear and wrapped by its keyring.
type DataKey struct{ Plain, Wrapped []byte }

// Create creates a data key. A service can use only the keyring with its own name; otherwise Create fails with domain.Forbidden.
func (s *Keyrings) Create(ctx context.Context, caller *auth.Principal, name string) (_ DataKey, err error) {
	defer tried.To(&err, "create data key")
	keyset, err := s.keyset(ctx, caller, name)
	if err != nil {
		return DataKey{}, err
	}
	plain := seal.NewDataKey()
	wrapped, err := keyset.Seal(plain, aad(name))
	if err != nil {
		return DataKey{}, fmt.Errorf("wrap data key: %w", err)
	}
	if err := s.record(ctx, caller, "createDataKey", name); err != nil {
		return DataKey{}, err
	}
	return DataKey{plain, wrapped}, nil
}

// Unwrap opens a data key that this keyring has wrapped; any other input fails with domain.ValidationFailed.
func (s *Keyrings) Unwrap(ctx context.Context, caller *auth.Principal, name string, wrapped []byte) (_ DataKey, err error) {
	defer tried.To(&err, "unwrap data key")
	keyset, err := s.keyset(ctx, caller, name)
	if err != nil {
		return DataKey{}, err
	}
	plain, err := keyset.Open(wrapped, aad(name))
	if err != nil {
		return DataKey{}, domain.Refuse(domain.ValidationFailed, "This keyring has not wrapped that.").
			WithField("body", "/wrapped", "sealed", "does not open under this keyring").Because(err)
	}
	if err := s.record(ctx, caller, "unwrapDataKey", name); err != nil {
		return DataKey{}, err
	}
	return DataKey{plain, wrapped}, nil
}

// Owns reports whether the caller is the service that the keyring is named after. The keys of that keyring belong to the service alone, even if an
// administrator has created a keyring with the same name.
func (s *Keyrings) Owns(ctx context.Context, caller *auth.Principal, name string) (bool, error) {
	if caller.Kind != auth.KindService {
		return false, nil
	}
	owner, found, err := s.standing.Rows.Owner(ctx, s.db.Read(ctx), authority.Ref{Kind: caller.Kind, ID: caller.Subject}, authority.Unlocked)
	if err != nil {
		return false, fmt.Errorf("read the calling service: %w", err)
	}
	return found && owner.Active && owner.Name == name, nil
}

// keyset returns the keyset of the keyring. It fails with domain.Forbidden unless the keyring is named after the caller.
func (s *Keyrings) keyset(ctx context.Context, caller *auth.Principal, name string) (*seal.Keyset, error) {
	own, err := s.Owns(ctx, caller, name)
	if err != nil {
		return nil, err
	}
	if !own {
		return nil, domain.Refuse(domain.Forbidden, "A service uses only the keyring that has its name.")
	}
	return s.vault.AEAD(ctx, vault.KeyringPrefix+name)
}

// record checks that the caller's session, key and owner are valid, and writes the audit event. A data key is returned only after record has
// succeeded.
func (s *Keyrings) record(ctx context.Context, caller *auth.Principal, action, name string) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := s.standing.Hold(ctx, tx, caller); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: name})
	})
}

func aad(name string) []byte { return []byte("keyring:" + name) }
