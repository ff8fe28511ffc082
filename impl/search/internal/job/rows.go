package job

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// SpoolRows stores what is received.
type SpoolRows interface {
	// BeginJob stores a job that is received. Errors: owner.ErrGone, ErrFull.
	BeginJob(ctx context.Context, j *Job, l lease.Lease) error
	// AddPart stores the next items. Errors: ErrFull, lease.ErrLost.
	AddPart(ctx context.Context, j *Job, l lease.Lease, items []byte, n int64) error
	// AcceptJob ends the receiving: the job is carried out. Error: lease.ErrLost.
	AcceptJob(ctx context.Context, j *Job, l lease.Lease) error
	// DropJob forgets a job that was not accepted.
	DropJob(ctx context.Context, id string, l lease.Lease) error
}

// Rows is what a Worker has jobs from. What changes a job is lease.ErrLost when the lease is not that of the job any more.
type Rows interface {
	// ClaimJob leases the job that is due for the longest time and whose collection has no earlier one, or returns nil.
	ClaimJob(ctx context.Context, l lease.Lease) (*Job, error)
	// KeepJob renews the lease.
	KeepJob(ctx context.Context, j *Job, l lease.Lease) error
	// PartOf reads the next part of a job.
	PartOf(ctx context.Context, j *Job) (Part, error)
	// CarriedOut deletes a part, with what became of its items. The last one ends the job.
	CarriedOut(ctx context.Context, j *Job, l lease.Lease, succeeded int64, failures []Failure) error
	// FailJob ends a job, with its Failure and Reason.
	FailJob(ctx context.Context, j *Job, l lease.Lease) error
	// LeaveJob gives the lease back, also that of a job that was cancelled meanwhile; one that was not is due again after a while. Whoever does so writes nothing more.
	LeaveJob(ctx context.Context, j *Job, l lease.Lease, after time.Duration) error
	// CollectionNow returns the collection of a name as the database has it now, or nil.
	CollectionNow(ctx context.Context, n owner.Name) (*owner.Collection, error)
	// Now is the time of the database.
	Now(ctx context.Context) (time.Time, error)
}
