package authority

import (
	"context"

	"github.com/fountainai/fountain/internal/store"
)

// Ref names the row of a user or of a service.
type Ref struct {
	Kind string // auth.KindUser or auth.KindService
	ID   string
}

// Owner is a user or a service as its row is at one moment: what keys, sessions and tokens stand on.
type Owner struct {
	Ref
	Name   string // username, or name of the service
	Active bool
	Roles  []string // of a user
	Scopes []string // what it may do
	Family bool     // a service that the kms registered itself
	Epoch  int64    // tokens of lower epochs have ended
	Tenant string   // "": the default one
	// Mailbox says of a user that who reads their mail can choose their password, or has chosen it.
	Mailbox bool
}

// Lock says how a row is locked while it is read. SQLite has one writer at a time, and locks nothing further.
type Lock int

// The locks.
const (
	Unlocked  Lock = iota
	Shared         // nobody changes the row before the transaction ends
	Exclusive      // nobody changes it, or reads it with a lock
)

// Owners finds owners.
type Owners interface {
	// Owner reads a user or a service; false when there is none. Outside a transaction lock is Unlocked.
	Owner(ctx context.Context, q store.Querier, ref Ref, lock Lock) (Owner, bool, error)
}
