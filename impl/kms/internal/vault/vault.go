// Package vault holds the keysets of the kms, each sealed under the root key in the database. The hierarchy is root key ->
// keysets -> data keys -> secrets.
package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// The keysets of the kms itself. A keyring has the keyset KeyringPrefix + its name.
const (
	Signing       = "signing"         // seals private signing keys
	Refresh       = "refresh"         // seals successors of refresh tokens for their grace
	APIKeys       = "api-keys"        // the pepper: sums API keys
	Secrets       = "secrets"         // seals the data keys of secrets
	Answers       = "idempotency"     // seals stored answers
	Fingerprints  = "idempotency-mac" // sums request bodies, and logins for which a new password is asked
	Audit         = "audit"           // seals the key of the audit chain
	Mails         = "mails"           // seals the links of mails on their way
	KeyringPrefix = "keyring."
)

// Errors that stop a start; nothing was changed.
var (
	ErrNoRoot = errors.New("the root key file does not exist")
	// ErrWrongRoot: the database was sealed under another root key.
	ErrWrongRoot = errors.New("this is not the root key that the database was sealed with")
)

// Rows is what the vault asks of the database.
type Rows interface {
	// Roots returns the ids of the root keys that seal keysets; none in an empty database.
	Roots(ctx context.Context, q store.Querier) ([]string, error)
	// Keyset returns a sealed keyset.
	Keyset(ctx context.Context, q store.Querier, name string) (sealed []byte, found bool, err error)
	// InsertKeyset stores a keyset unless one of the name is there.
	InsertKeyset(ctx context.Context, tx *store.Tx, name, rootID string, sealed []byte, at int64) error
}

// Vault opens keysets. It is safe for concurrent use.
type Vault struct {
	db    *store.DB
	rows  Rows
	root  *seal.Root
	clock clock.Clock

	mu   sync.Mutex
	open map[string]*seal.Keyset
}

// Open loads the root key and checks that it is the one that the database was sealed with. Only on SQLite, and only for a
// database that holds nothing yet, a missing root key is made.
func Open(ctx context.Context, db *store.DB, rows Rows, rootFile string, c clock.Clock) (*Vault, error) {
	roots, err := rows.Roots(ctx, db.Read(ctx))
	if err != nil {
		return nil, fmt.Errorf("read keysets: %w", err)
	}
	if err := ensureRoot(rootFile, db.Dialect() == store.SQLite && len(roots) == 0); err != nil {
		return nil, err
	}
	root, err := seal.LoadRoot(rootFile)
	if err != nil {
		return nil, fmt.Errorf("load root key %s: %w", rootFile, err)
	}
	for _, sealedBy := range roots {
		if sealedBy != root.ID() {
			return nil, fmt.Errorf("root key %s: %w", rootFile, ErrWrongRoot)
		}
	}
	return &Vault{db: db, rows: rows, root: root, clock: c, open: map[string]*seal.Keyset{}}, nil
}

// ensureRoot makes the root key file where that is allowed.
func ensureRoot(path string, mayCreate bool) error {
	_, err := os.Lstat(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return nil // LoadRoot says what is wrong with it
	}
	if !mayCreate {
		return fmt.Errorf("root key %s: %w; put the one back that the database was made with, or make one with `fountain keygen` for a new database", path, ErrNoRoot)
	}
	if err := seal.CreateRoot(path); err != nil {
		return fmt.Errorf("make root key %s: %w", path, err)
	}
	return nil
}

// AEAD returns the sealing keyset of a name, made when it is first asked for. Ask outside a transaction.
func (v *Vault) AEAD(ctx context.Context, name string) (*seal.Keyset, error) {
	return v.keyset(ctx, name, seal.NewAEAD)
}

// MAC returns the summing keyset of a name, made when it is first asked for. Ask outside a transaction.
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
	set, err := v.root.OpenKeyset(name, sealed)
	if err != nil {
		return nil, fmt.Errorf("keyset %s: %w", name, err)
	}
	v.open[name] = set
	return set, nil
}

// create stores a new keyset and returns the one that is stored: that of another replica when it was quicker.
func (v *Vault) create(ctx context.Context, name string, create func() (*seal.Keyset, error)) ([]byte, error) {
	set, err := create()
	if err != nil {
		return nil, err
	}
	sealed, err := v.root.SealKeyset(name, set)
	if err != nil {
		return nil, err
	}
	err = v.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return v.rows.InsertKeyset(ctx, tx, name, v.root.ID(), sealed, domain.Now(v.clock).UnixMicro())
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
