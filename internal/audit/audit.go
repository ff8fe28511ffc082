// Package audit keeps a hash-chained log of who did what in a service's own database.
package audit

import (
	"context"
	"io/fs"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Migrations creates the audit tables (00010).
var Migrations fs.FS

// Event is one thing somebody did. No field may hold a secret.
type Event struct {
	At        time.Time         // zero: now
	Action    string            // the operationId
	Actor     string            // subject, or empty for the service itself
	ActorKind string            // user, service, system
	Target    string            // identifier of what it was done to
	Outcome   string            // ok, denied, failed
	RequestID string            //
	Detail    map[string]string //
}

// Record is an Event in the chain.
type Record struct {
	Seq int64
	Event
	Hash []byte
}

// Checkpoint is the head of the chain at one moment.
type Checkpoint struct {
	Seq  int64
	Hash []byte
}

// Query selects records, newest first.
type Query struct {
	Before                int64 // only records with a smaller Seq; 0: from the newest
	Action, Actor, Target string
	From, To              time.Time // From <= At < To; zero: open
	Limit                 int       // default 100, at most 1000
}

// Append adds events to the chain in the caller's transaction.
func Append(ctx context.Context, tx *store.Tx, events ...Event) error { panic("being built") }

// Verify walks the chain: how many records hold, and the Seq of the first that does not (0: none).
func Verify(ctx context.Context, q store.Querier) (checked, firstBreak int64, err error) {
	panic("being built")
}

// List returns the records that match.
func List(ctx context.Context, q store.Querier, query Query) ([]Record, error) { panic("being built") }

// Head returns the current end of the chain.
func Head(ctx context.Context, q store.Querier) (Checkpoint, error) { panic("being built") }

// Contains reports whether the chain still holds the checkpoint: an exported one shows a truncated tail.
func Contains(ctx context.Context, q store.Querier, c Checkpoint) (bool, error) { panic("being built") }
