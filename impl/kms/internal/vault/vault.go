// Package vault manages the keysets of the kms. They are stored in the database, sealed under the root key. The hierarchy is root key ->
// keysets -> data keys -> secrets.
package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// The names of the kms's own keysets. A keyring's keyset is named KeyringPrefix + the keyring's name.
const (
	Signing       = "signing"         // seals private signing keys
	Refresh       = "refresh"         // seals successors of refresh tokens for the grace period
	APIKeys       = "api-keys"        // the pepper: computes the hashes of API keys
	Secrets       = "secrets"         // seals the data keys of secrets
	Answers       = "idempotency"     // seals stored answers
	Fingerprints  = "idempotency-mac" // computes MACs of request bodies, and of logins for password resets
	Audit         = "audit"           // seals the key of the audit chain
	Mails         = "mails"           // seals the contents of mails until they are sent
	KeyringPrefix = "keyring."
)

// Errors that prevent the start. They leave the database unchanged.
var (
	ErrNoRoot = errors.New("the root key file does not exist")
	// ErrWrongRoot says that the database was sealed under another root key.
	ErrWrongRoot = errors.New("this is not the root key that the database was sealed with")
)

// Rows are the queries of the vault.
type Rows interface {
	// Roots returns the IDs of the root keys that seal keysets; none for an empty database.
	Roots(ctx context.Context, q store.Querier) ([]string, error)
	// Keyset returns a sealed keyset.
	Keyset(ctx context.Context, q store.Querier, name string) (sealed []byte, found bool, err error)
	// InsertKeyset stores a keyset unless the name is taken.
	InsertKeyset(ctx context.Context, tx *store.Tx, name, rootID string, sealed []byte, at int64) error

	// RootState returns the active root key and the state of its rotation.
	RootState(ctx context.Context, q store.Querier) (State, error)
	// TakeRootTurn locks the state until the transaction ends, and returns it.
	TakeRootTurn(ctx context.Context, tx *store.Tx) (State, error)
	// SetRootState stores the state. The caller has the turn.
	SetRootState(ctx context.Context, tx *store.Tx, s State) error
	// SealedByOthers returns names of keysets that are sealed by other root keys.
	SealedByOthers(ctx context.Context, q store.Querier, rootID string, limit int) ([]string, error)
	// CountSealed returns the number of keysets that the root key seals, and of those sealed by others.
	CountSealed(ctx context.Context, q store.Querier, rootID string) (by, byOthers int64, err error)
	// ReplaceKeyset replaces an existing keyset.
	ReplaceKeyset(ctx context.Context, tx *store.Tx, name, rootID string, sealed []byte) error
	// Reseal stores a keyset sealed by another root key, if it is still sealed by from.
	Reseal(ctx context.Context, tx *store.Tx, name, from, to string, sealed []byte) error
	// Holders returns the replicas that were seen after a time.
	Holders(ctx context.Context, q store.Querier, since time.Time) ([]Holder, error)
	// PutHolder stores the root keys of a replica, and deletes replicas last seen before a time.
	PutHolder(ctx context.Context, tx *store.Tx, h Holder, before time.Time) error
	// DeleteHolder deletes a replica.
	DeleteHolder(ctx context.Context, tx *store.Tx, replica string) error
}

// Vault creates and opens keysets. It is safe for concurrent use.
type Vault struct {
	db    *store.DB
	rows  Rows
	roots *roots
	clock clock.Clock

	mu   sync.Mutex
	open map[string]*seal.Keyset
}

// Open loads the root keys and checks that the database was sealed with them. A missing root key file is created only on SQLite, and only for an
// empty database.
func Open(ctx context.Context, db *store.DB, rows Rows, files Files, c clock.Clock) (*Vault, error) {
	sealedBy, err := rows.Roots(ctx, db.Read(ctx))
	if err != nil {
		return nil, fmt.Errorf("read keysets: %w", err)
	}
	if err := ensureRoot(files.Current, db.Dialect() == store.SQLite && len(sealedBy) == 0); err != nil {
		return nil, err
	}
	held := &roots{files: files, known: map[string]*seal.Root{}}
	if err := held.read(); err != nil {
		return nil, err
	}
	if err := held.holds(sealedBy...); err != nil {
		return nil, err
	}
	v := &Vault{db: db, rows: rows, roots: held, clock: c, open: map[string]*seal.Keyset{}}
	return v, v.begin(ctx, sealedBy)
}

// begin stores the active root key if the database has none yet: the one that has sealed its keysets so far.
func (v *Vault) begin(ctx context.Context, sealedBy []string) error {
	state, err := v.rows.RootState(ctx, v.db.Read(ctx))
	if err != nil {
		return err
	}
	if state.Active == "" {
		err = v.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			if state, err = v.rows.TakeRootTurn(ctx, tx); err != nil || state.Active != "" {
				return err
			}
			_, state.Active, _ = v.roots.now()
			if len(sealedBy) > 0 {
				state.Active = sealedBy[0]
			}
			return v.rows.SetRootState(ctx, tx, state)
		})
	}
	if err != nil {
		return fmt.Errorf("store which root key is active: %w", err)
	}
	return v.roots.holds(state.Active)
}

// ensureRoot creates the root key file if it is missing and may be created.
func ensureRoot(path string, mayCreate bool) error {
	_, err := os.Lstat(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return nil // LoadRoot reports other errors
	}
	if !mayCreate {
		return fmt.Errorf("root key %s: %w; put the one back that the database was made with, or make one with `fountain keygen` for a new database", path, ErrNoRoot)
	}
	if err := seal.CreateRoot(path); err != nil {
		return fmt.Errorf("make root key %s: %w", path, err)
	}
	return nil
}

// AEAD returns the keyset of a name for sealing, and creates it on first use. It must be called outside a transaction.
func (v *Vault) AEAD(ctx context.Context, name string) (*seal.Keyset, error) {
	return v.keyset(ctx, name, seal.NewAEAD)
}

// MAC returns the keyset of a name for keyed hashes, and creates it on first use. It must be called outside a transaction.
func (v *Vault) MAC(ctx context.Context, name string) (*seal.Keyset, error) {
	return v.keyset(ctx, name, seal.NewMAC)
}

func (v *Vault) keyset(ctx context.Context, name string, create func() (*seal.Keyset, error)) (*seal.Keyset, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if set := v.open[name]; set != nil {
		return set, nil
	}
	sealed, found, err := v.rows.Keyset(ctx, v.db.Read(ctx), name)
	if err == nil && !found {
		sealed, err = v.create(ctx, name, create)
	}
	if err != nil {
		return nil, fmt.Errorf("keyset %s: %w", name, err)
	}
	set, _, err := v.unseal(name, sealed)
	if err != nil {
		return nil, fmt.Errorf("keyset %s: %w", name, err)
	}
	v.open[name] = set
	return set, nil
}

// create stores a new keyset and returns the stored one, which is another replica's if that was first.
func (v *Vault) create(ctx context.Context, name string, create func() (*seal.Keyset, error)) ([]byte, error) {
	set, err := create()
	if err != nil {
		return nil, err
	}
	err = v.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		state, err := v.rows.TakeRootTurn(ctx, tx) // excludes a rotation between sealing and storing
		if err != nil {
			return err
		}
		sealed, err := v.seal(state.Active, name, set)
		if err != nil {
			return err
		}
		return v.rows.InsertKeyset(ctx, tx, name, state.Active, sealed, domain.Now(v.clock).UnixMicro())
	})
	if err != nil {
		return nil, err
	}
	sealed, found, err := v.rows.Keyset(ctx, v.db.Read(ctx), name)
	if err == nil && !found {
		err = errors.New("it was not stored")
	}
	return sealed, err
}

// seal seals a keyset under the root key with an ID.
func (v *Vault) seal(rootID, name string, set *seal.Keyset) ([]byte, error) {
	root, found := v.roots.root(rootID)
	if !found {
		return nil, ErrWrongRoot
	}
	return root.SealKeyset(name, set)
}

// unseal opens a keyset with the root key that sealed it, and returns that key's ID.
func (v *Vault) unseal(name string, sealed []byte) (*seal.Keyset, string, error) {
	by, err := seal.RootID(sealed)
	if err != nil {
		return nil, "", err
	}
	root, found := v.roots.root(by)
	if !found {
		return nil, "", ErrWrongRoot
	}
	set, err := root.OpenKeyset(name, sealed)
	return set, by, err
}
