package reindex

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/audit"
)

// Rows stores reindexes for a Worker. Methods that change a reindex require that it still has r.State and the lease, and return
// lease.ErrLost otherwise. None of them modifies r.
type Rows interface {
	// ClaimReindex leases the reindex that has been due for the longest time, or returns nil.
	ClaimReindex(ctx context.Context, l lease.Lease) (*Reindex, error)
	// KeepReindex stores the progress and renews the lease.
	KeepReindex(ctx context.Context, r *Reindex, l lease.Lease) error
	// MoveReindex changes the state.
	MoveReindex(ctx context.Context, r *Reindex, l lease.Lease, to State) error
	// HoldWrites makes writes to the collection wait.
	HoldWrites(ctx context.Context, r *Reindex, l lease.Lease, to State) error
	// LetWrites lets writes continue, and releases the lease; the reindex is due again after the given time.
	LetWrites(ctx context.Context, r *Reindex, l lease.Lease, to State, after time.Duration) error
	// SwapReindex replaces the source by the target, while writes wait. UnswapReindex replaces the target by the source. Both let the
	// writes continue.
	SwapReindex(ctx context.Context, r *Reindex, l lease.Lease, e audit.Event) error
	UnswapReindex(ctx context.Context, r *Reindex, l lease.Lease, e audit.Event) error
	// FailReindex ends the reindex with Failure and Reason of r.
	FailReindex(ctx context.Context, r *Reindex, l lease.Lease, e audit.Event) error
	// LeaveReindex releases the lease; the reindex is due again after the given time.
	LeaveReindex(ctx context.Context, r *Reindex, l lease.Lease, after time.Duration) error
	// StopNoting ends the noting of writes for the reindex.
	StopNoting(ctx context.Context, r *Reindex, l lease.Lease) error
	// CleanReindex calls drop for the collection in Cleanup, unless that name may belong to another collection by now, and marks the
	// cleanup as done.
	CleanReindex(ctx context.Context, r *Reindex, l lease.Lease, drop func(ctx context.Context) error) error
	// Notes lists the oldest notes before a time, without refused ones. The zero time means no bound.
	Notes(ctx context.Context, id string, before time.Time, limit int) ([]Note, error)
	// Noted reports whether a document has a note.
	Noted(ctx context.Context, id, document string) (bool, error)
	// Refused counts the notes that are marked as refused.
	Refused(ctx context.Context, id string) (int64, error)
	// SettleNotes deletes the notes in done, and marks those in refused. A note that has been renewed since it was read is left alone.
	SettleNotes(ctx context.Context, r *Reindex, l lease.Lease, done, refused []Note) error
	// OldestWrite returns a time such that no write that is still under way, in any replica, began before it. It returns the zero time if
	// no replica has reported.
	OldestWrite(ctx context.Context) (time.Time, error)
	// Now returns the time of the database.
	Now(ctx context.Context) (time.Time, error)
}
