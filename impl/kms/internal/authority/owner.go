package authority

import (
	"context"

	"github.com/fountainai/fountain/internal/store"
)

// Ref identifies the row of a user or of a service.
type Ref struct {
	Kind string // auth.KindUser or auth.KindService
	ID   string
}

// Owner is a user or a service as read from its row: the owner of keys, sessions and tokens.
type Owner struct {
	Ref
	Name   string // username, or name of the service
	Active bool
	Roles  []string // only of users
	Scopes []string // that it has now
	Family bool     // a service that the kms registered itself
	Epoch  int64    // tokens with a lower epoch are invalid
	Tenant string   // "": the default one
	// Mailbox reports that whoever reads the user's mail can choose their password, or has chosen it. It is false for services.
	Mailbox bool
}

// Lock is how a row is locked when it is read. SQLite has a single writer, and takes no further locks.
type Lock int

// The locks.
const (
	Unlocked  Lock = iota
	Shared         // the row can't be changed until the transaction ends
	Exclusive      // the row can't be changed, or read with a lock
)

// Owners reads owners.
type Owners interface {
	// Owner reads a user or a service; false when there is none. Outside a transaction lock must be Unlocked.
	Owner(ctx context.Context, q store.Querier, ref Ref, lock Lock) (Owner, bool, error)
}
