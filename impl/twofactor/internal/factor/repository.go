package factor

import (
	"context"
	"time"
)

// Repository keeps factors.
type Repository interface {
	// Admit counts an attempt on every active factor of the subject whose codes have this many digits, and is durable when
	// it returns: no attempt is looked at that was not counted.
	Admit(ctx context.Context, subject string, digits int, now time.Time) (Admission, error)
	// AdmitPending does the same for one pending factor. The problems not_found, gone and too_many_attempts say why not.
	AdmitPending(ctx context.Context, subject, id string, now time.Time) (Record, error)
	// Write runs fn as one change: all of it is kept, or nothing. fn may run more than once.
	Write(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Count counts the subject's factors.
	Count(ctx context.Context, subject string, now time.Time) (Counts, error)
	// Pending returns a factor of the subject whose enrolment is open, or the problem not_found.
	Pending(ctx context.Context, subject, id string, now time.Time) (Record, error)
	// List returns the subject's factors after the cursor, oldest first, revoked and expired ones left out.
	List(ctx context.Context, subject string, after Cursor, limit int, now time.Time) ([]Record, error)
	// KeepDecoy stores the decoy unless there is one.
	KeepDecoy(ctx context.Context, r Record) error
	// Sweep removes rows that nobody asks for any more, and locks and last steps from beyond their furthest honest value: a clock was
	// ahead. It returns the number of the factors that had such.
	Sweep(ctx context.Context, now time.Time) (ahead int64, err error)
}

// Tx is an open change.
type Tx interface {
	// Lock waits until no other change of the subject is open, then counts its factors.
	Lock(ctx context.Context, subject string, now time.Time) (Counts, error)
	// Insert adds a factor.
	Insert(ctx context.Context, r Record) error
	// Activate confirms a pending factor with the step of its first code; false when it is no longer pending or the step is
	// not newer than every one before it.
	Activate(ctx context.Context, subject, id string, step int64, now time.Time) (bool, error)
	// Use marks a step of an active factor as used; false when it, or a newer one, was used already.
	Use(ctx context.Context, id string, step int64, now time.Time) (bool, error)
	// Refund takes back an attempt that was a right code of another factor.
	Refund(ctx context.Context, id string) error
	// Revoke ends a factor of the subject and destroys its seed; false when there is none.
	Revoke(ctx context.Context, subject, id string, now time.Time) (bool, error)
	// RevokeAll ends every factor of the subject that was enrolled up to a time, destroys their seeds, and returns how many.
	RevokeAll(ctx context.Context, subject string, before, now time.Time) (int64, error)
	// Audit records what was done, or tried.
	Audit(ctx context.Context, e Event) error
}

// Counts are the factors of one subject.
type Counts struct {
	Active int
	Total  int // with open enrolments
}

// Cursor is the place in a list; the zero value is its beginning.
type Cursor struct {
	Created time.Time
	ID      string
}

// Event is one thing that happened to a factor.
type Event struct {
	At        time.Time
	Action    string // the operation
	Subject   string
	Target    string // factor id, or empty
	Denied    bool
	RequestID string
	Detail    map[string]string
}

// Once makes an enrolment happen once, however often it is asked for.
type Once func(ctx context.Context, tx Tx, enrol func(ctx context.Context) (Enrolment, error)) (Enrolment, error)
