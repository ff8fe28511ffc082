package reindex

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/audit"
)

// Rows keeps reindexes. What changes one takes the state that r has for the current one: lease.ErrLost says that it is not, or that the lease is another's. None of them
// changes r.
type Rows interface {
	// ClaimReindex leases the reindex that is due for the longest time, or returns nil.
	ClaimReindex(ctx context.Context, l lease.Lease) (*Reindex, error)
	// KeepReindex stores how far it is.
	KeepReindex(ctx context.Context, r *Reindex, l lease.Lease) error
	// MoveReindex brings it into another state.
	MoveReindex(ctx context.Context, r *Reindex, l lease.Lease, to State) error
	// HoldWrites has the writes of the collection wait.
	HoldWrites(ctx context.Context, r *Reindex, l lease.Lease, to State) error
	// LetWrites has them go on, and leaves the reindex for a while.
	LetWrites(ctx context.Context, r *Reindex, l lease.Lease, to State, after time.Duration) error
	// SwapReindex puts the target in the place of the source, where writes wait; UnswapReindex the source in that of the target. Both let the writes go on.
	SwapReindex(ctx context.Context, r *Reindex, l lease.Lease, e audit.Event) error
	UnswapReindex(ctx context.Context, r *Reindex, l lease.Lease, e audit.Event) error
	// FailReindex ends it, and tells why: Failure and Reason of r.
	FailReindex(ctx context.Context, r *Reindex, l lease.Lease, e audit.Event) error
	// LeaveReindex gives the lease back; it is due again after a while.
	LeaveReindex(ctx context.Context, r *Reindex, l lease.Lease, after time.Duration) error
	// StopNoting ends the noting of writes for it.
	StopNoting(ctx context.Context, r *Reindex, l lease.Lease) error
	// CleanReindex has its Cleanup dropped, unless that can be another's by now, and is done with it.
	CleanReindex(ctx context.Context, r *Reindex, l lease.Lease, drop func(ctx context.Context) error) error
	// Notes lists the oldest notes before a time, all for the zero time, without those that were refused.
	Notes(ctx context.Context, id string, before time.Time, limit int) ([]Note, error)
	// Noted reports whether there is a note of a document.
	Noted(ctx context.Context, id, document string) (bool, error)
	// Refused counts the notes that are marked as refused.
	Refused(ctx context.Context, id string) (int64, error)
	// SettleNotes removes notes of what was copied, and marks those of what was refused; one that is newer by now stays.
	SettleNotes(ctx context.Context, r *Reindex, l lease.Lease, done, refused []Note) error
	// OldestWrite is a time before which no write began that is still under way, in any replica.
	OldestWrite(ctx context.Context) (time.Time, error)
	// Now is the time of the database.
	Now(ctx context.Context) (time.Time, error)
}
