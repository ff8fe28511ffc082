package job

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// SpoolRows stores jobs that are being received.
type SpoolRows interface {
	// BeginJob inserts a job in state Receiving. Errors: owner.ErrGone, ErrFull.
	BeginJob(ctx context.Context, j *Job, l lease.Lease) error
	// AddPart stores the next n items. Errors: ErrFull, lease.ErrLost.
	AddPart(ctx context.Context, j *Job, l lease.Lease, items []byte, n int64) error
	// AcceptJob marks the job as completely received, so that it is carried out. Error: lease.ErrLost.
	AcceptJob(ctx context.Context, j *Job, l lease.Lease) error
	// DropJob deletes a job that was not accepted.
	DropJob(ctx context.Context, id string, l lease.Lease) error
}

// Rows is the storage of a Worker. Methods that change a job return lease.ErrLost if the job no longer has the given lease.
type Rows interface {
	// ClaimJob leases the job that has been due for the longest time among those that are the first of their collection. It returns nil if
	// there is none.
	ClaimJob(ctx context.Context, l lease.Lease) (*Job, error)
	// KeepJob renews the lease.
	KeepJob(ctx context.Context, j *Job, l lease.Lease) error
	// PartOf reads the next part of a job.
	PartOf(ctx context.Context, j *Job) (Part, error)
	// CarriedOut deletes a part and records what became of its items. The last part ends the job.
	CarriedOut(ctx context.Context, j *Job, l lease.Lease, succeeded int64, failures []Failure) error
	// FailJob ends a job with its Failure and Reason.
	FailJob(ctx context.Context, j *Job, l lease.Lease) error
	// LeaveJob releases the lease, even if the job was cancelled in the meantime. A job that was not cancelled is due again after the given
	// time. The caller must not write anything for the job afterwards.
	LeaveJob(ctx context.Context, j *Job, l lease.Lease, after time.Duration) error
	// CollectionNow reads the collection of a name from the database. It returns nil if there is none.
	CollectionNow(ctx context.Context, n owner.Name) (*owner.Collection, error)
	// Now returns the time of the database.
	Now(ctx context.Context) (time.Time, error)
}
