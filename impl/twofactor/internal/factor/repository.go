package factor

import (
	"context"
	"time"
)

// Repository keeps factors.
type Repository interface {
	// Attempt locks the state of the subject, lets the attempt judge it, and returns the verdict once it is durable. Many attempts share a commit.
	// No verdict is returned before the commit, so that a process that crashes has answered nothing that is not counted.
	Attempt(ctx context.Context, a *Attempt) (Verdict, error)
	// AdmitPending counts an attempt at a pending TOTP factor; the count is durable when it returns. Errors when it admits none: ErrUnknown,
	// ErrExpired, *TooManyAttempts.
	AdmitPending(ctx context.Context, subject, id string, now time.Time) (Record, error)
	// Write runs fn in one transaction: all of it is stored, or nothing. fn may run more than once.
	Write(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Count counts the subject's factors.
	Count(ctx context.Context, subject string, now time.Time) (Counts, error)
	// Pending returns a factor of the subject whose enrolment is open, or ErrUnknown.
	Pending(ctx context.Context, subject, id string, now time.Time) (Record, error)
	// RecoveryCodes returns how many unused recovery codes the subject has, and when they were made; the zero time when there never were any.
	RecoveryCodes(ctx context.Context, subject string) (left int, made time.Time, err error)
	// Tries returns the counts of the subject's wrong codes.
	Tries(ctx context.Context, subject string) (Tries, error)
	// List returns the subject's factors after the cursor, oldest first, without revoked and expired ones.
	List(ctx context.Context, subject string, after Cursor, limit int, now time.Time) ([]Record, error)
	// Sweep deletes rows that are no longer needed. It also clears locks, counts and last steps that lie so far in the future that only a clock
	// that was ahead can have set them, and returns the number of subjects that had such.
	Sweep(ctx context.Context, now time.Time) (ahead int64, err error)
}

// Tx is an open transaction.
type Tx interface {
	// Lock waits until no other change of the subject is open, then counts its factors.
	Lock(ctx context.Context, subject string, now time.Time) (Counts, error)
	// Insert adds a factor.
	Insert(ctx context.Context, r Record) error
	// Activate confirms a pending factor with the step of its first code; false when it is no longer pending or the step is
	// not newer than every one before it.
	Activate(ctx context.Context, subject, id string, step int64, now time.Time) (bool, error)
	// IsActive reports whether the subject has this factor, confirmed.
	IsActive(ctx context.Context, subject, id string) (bool, error)
	// Revoke revokes a factor of the subject and deletes its seed; false when there is none.
	Revoke(ctx context.Context, subject, id string, now time.Time) (bool, error)
	// RevokeAll revokes every factor of the subject that was enrolled up to a time, deletes their seeds, and returns how many.
	RevokeAll(ctx context.Context, subject string, before, now time.Time) (int64, error)
	// Active returns an active TOTP factor of the subject; ErrUnknown when there is none.
	Active(ctx context.Context, subject, id string) (Record, error)
	// SetClock stores the clock of an active factor, and marks its last step and the one before as used; false when one of them, or a later
	// one, was used already.
	SetClock(ctx context.Context, r Record, session string) (bool, error)
	// Rename changes the label of a factor of the subject and returns it; ErrUnknown when there is none.
	Rename(ctx context.Context, subject, id, label string, now time.Time) (Record, error)
	// PutRecoveryCodes replaces the subject's recovery codes by these keyed hashes.
	PutRecoveryCodes(ctx context.Context, subject string, hashes [][]byte, now time.Time) error
	// RecoveryCodes is Repository.RecoveryCodes within the transaction.
	RecoveryCodes(ctx context.Context, subject string) (left int, made time.Time, err error)
	// UseRecoveryCode marks a recovery code as used; false when there is no such code, it was used, or a backup was restored after it was made.
	UseRecoveryCode(ctx context.Context, subject string, hash []byte, now time.Time) (bool, error)
	// DropRecoveryCodes deletes the subject's recovery codes that were made up to a time, and returns how many of them were unused.
	DropRecoveryCodes(ctx context.Context, subject string, before time.Time) (int64, error)
	// Prove makes a session proven (Proven), because it gave a recovery code.
	Prove(ctx context.Context, subject, session string, now time.Time) error
	// EndLock ends a lock of the subject and the run of wrong codes that led to it; all resets the budget of guesses too.
	EndLock(ctx context.Context, subject string, all bool) error
	// Notify queues a notice to each confirmed address of the subject that was enrolled up to a time, except that of the factor but ("" for no exception).
	// Call it before addresses are revoked. Beyond NoticesPerDay it queues none.
	Notify(ctx context.Context, subject string, n Notice, but string, before, now time.Time) error
	// Audit records an event in the audit trail.
	Audit(ctx context.Context, e Event) error
}

// Counts are the factors of one subject.
type Counts struct {
	Active int
	Total  int // active ones and open enrolments
}

// Cursor is a place in a list; the zero value is the beginning.
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
	Service   bool // Subject is a service, which acts for another subject
	RequestID string
	Address   string // network address of the client; empty: that of the request in the context
	Detail    map[string]string
}

// Once runs enrol once for repeated requests, and returns the first result to each of them.
type Once func(ctx context.Context, tx Tx, enrol func(ctx context.Context) (Enrolment, error)) (Enrolment, error)
