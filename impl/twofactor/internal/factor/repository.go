package factor

import (
	"context"
	"time"
)

// Repository keeps factors.
type Repository interface {
	// Attempt locks what the subject has, lets the attempt judge it, and returns when what it decided is durable. Many attempts share a commit;
	// until then nothing of the verdict leaves, so that a process that dies has told nothing that is not counted.
	Attempt(ctx context.Context, a *Attempt) (Verdict, error)
	// AdmitPending counts an attempt at a pending factor, and is durable when it returns. ErrUnknown, ErrExpired and TooManyAttempts say why
	// not.
	AdmitPending(ctx context.Context, subject, id string, now time.Time) (Record, error)
	// Write runs fn as one change: all of it is kept, or nothing. fn may run more than once.
	Write(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Count counts the subject's factors.
	Count(ctx context.Context, subject string, now time.Time) (Counts, error)
	// Pending returns a factor of the subject whose enrolment is open, or ErrUnknown.
	Pending(ctx context.Context, subject, id string, now time.Time) (Record, error)
	// RecoveryCodes returns how many unused recovery codes the subject has, and when they were made; the zero time when there never were any.
	RecoveryCodes(ctx context.Context, subject string) (left int, made time.Time, err error)
	// Tries returns what the subject's wrong codes have come to.
	Tries(ctx context.Context, subject string) (Tries, error)
	// List returns the subject's factors after the cursor, oldest first, revoked and expired ones left out.
	List(ctx context.Context, subject string, after Cursor, limit int, now time.Time) ([]Record, error)
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
	// IsActive reports whether the subject has this factor, confirmed.
	IsActive(ctx context.Context, subject, id string) (bool, error)
	// Revoke ends a factor of the subject and destroys its seed; false when there is none.
	Revoke(ctx context.Context, subject, id string, now time.Time) (bool, error)
	// RevokeAll ends every factor of the subject that was enrolled up to a time, destroys their seeds, and returns how many.
	RevokeAll(ctx context.Context, subject string, before, now time.Time) (int64, error)
	// Active returns an active factor of the subject; ErrUnknown when there is none.
	Active(ctx context.Context, subject, id string) (Record, error)
	// SetClock keeps the clock of an active factor, and marks its last step and the one before as used; false when one of them, or a newer
	// one, was used already.
	SetClock(ctx context.Context, r Record, session string) (bool, error)
	// Rename changes the label of a factor of the subject and returns it; ErrUnknown when there is none.
	Rename(ctx context.Context, subject, id, label string, now time.Time) (Record, error)
	// PutRecoveryCodes replaces the subject's recovery codes by these keyed hashes.
	PutRecoveryCodes(ctx context.Context, subject string, hashes [][]byte, now time.Time) error
	// RecoveryCodes is the Repository's, within the change.
	RecoveryCodes(ctx context.Context, subject string) (left int, made time.Time, err error)
	// UseRecoveryCode uses a recovery code up; false when there is no such, it was used, or a backup was restored since it was made.
	UseRecoveryCode(ctx context.Context, subject string, hash []byte, now time.Time) (bool, error)
	// DropRecoveryCodes deletes the subject's recovery codes that were made up to a time, and returns how many of them were unused.
	DropRecoveryCodes(ctx context.Context, subject string, before time.Time) (int64, error)
	// Prove notes that a session gave a recovery code: others' guesses do not keep the owner out of it.
	Prove(ctx context.Context, subject, session string, now time.Time) error
	// EndLock ends a lock of the subject; all forgets its wrong codes too.
	EndLock(ctx context.Context, subject string, all bool) error
	// Notify has the subject told at each confirmed address that was enrolled up to a time, beside that of the factor but, "" for none. Call it before
	// addresses are revoked. More than NoticesPerDay are not sent.
	Notify(ctx context.Context, subject string, n Notice, but string, before, now time.Time) error
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
	Service   bool // Subject is a service, which acts for another
	RequestID string
	Address   string // network address of the client; where it is empty, that of the request in the context
	Detail    map[string]string
}

// Once makes an enrolment happen once, however often it is asked for.
type Once func(ctx context.Context, tx Tx, enrol func(ctx context.Context) (Enrolment, error)) (Enrolment, error)
