package challenge

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
)

// Repository keeps challenges and deliveries.
type Repository interface {
	// Change runs fn in one transaction: all of it is stored, or nothing. fn may run more than once.
	Change(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Targets returns the subject's active factors to which codes are sent, the most recently used first.
	Targets(ctx context.Context, subject string) ([]Target, error)
	// SealedTarget returns the sealed target of a factor that is not revoked; nil when there is none.
	SealedTarget(ctx context.Context, subject, factorID string) ([]byte, error)
	// Challenge returns a challenge; false when there is none.
	Challenge(ctx context.Context, id string) (Challenge, bool, error)
	// Enrolling returns the newest challenge of a factor's enrolment; false when there is none.
	Enrolling(ctx context.Context, subject, factorID string) (Challenge, bool, error)
	// Deliveries returns deliveries, newest first, beginning after the cursor.
	Deliveries(ctx context.Context, after factor.Cursor, limit int) ([]Delivery, error)
	// Claim claims up to limit due deliveries. No other worker gets them until the lease ends. A delivery that is to wait beyond honest was written while the
	// clock was ahead, and counts as due.
	Claim(ctx context.Context, lease string, now, until, honest time.Time, limit int) ([]Order, error)
	// SetRaising stores in the factors which channels have codes that raise a session.
	SetRaising(ctx context.Context, channels []delivery.Channel) error
	// SweepChallenges deletes rows that are no longer needed.
	SweepChallenges(ctx context.Context, now time.Time) error
}

// Tx is an open transaction.
type Tx interface {
	factor.Tx
	// Spend counts one of at most most in the window that contains now, in one statement; false when all are spent.
	Spend(ctx context.Context, kind, key string, most int, window time.Duration, now time.Time) (bool, error)
	// GiveBack takes one back that Spend has counted.
	GiveBack(ctx context.Context, kind, key string, window time.Duration, now time.Time) error
	// Replace ends the open challenge of a subject and purpose.
	Replace(ctx context.Context, subject, purpose string, now time.Time) error
	// InsertChallenge adds a challenge, and InsertDelivery a message to be sent.
	InsertChallenge(ctx context.Context, c Challenge) error
	InsertDelivery(ctx context.Context, d Delivery) error
	// Admit counts an attempt at an open challenge, and returns the challenge after it; false when it accepts no attempt.
	Admit(ctx context.Context, id, client string, now time.Time) (Challenge, bool, error)
	// Accept ends an open challenge whose code has this sum; false when another attempt was first, the code was replaced, or the factor was revoked.
	Accept(ctx context.Context, id string, sum []byte, now time.Time) (bool, error)
	// Renew gives an open challenge another code; false when it accepts no attempt.
	Renew(ctx context.Context, c Challenge, now time.Time) (bool, error)
	// Cancel ends an open challenge of a client; false when there is none.
	Cancel(ctx context.Context, id, client string, now time.Time) (bool, error)
	// Drop gives up the queued deliveries of a challenge.
	Drop(ctx context.Context, challengeID, reason string, now time.Time) error
	// HasTarget reports whether the subject already has an active factor with the target.
	HasTarget(ctx context.Context, subject, sum string) (bool, error)
	// InsertTarget adds a pending factor to which codes are sent.
	InsertTarget(ctx context.Context, r factor.Record, t Target, raises bool) error
	// ActivateTarget confirms a pending factor; false when it is no longer pending.
	ActivateTarget(ctx context.Context, subject, factorID string, now time.Time) (bool, error)
	// MarkUsed records that a code of the factor was right.
	MarkUsed(ctx context.Context, factorID string, now time.Time) error
	// Handed marks a delivery as sent that a provider has accepted, and starts the life of its code.
	Handed(ctx context.Context, o Order, r delivery.Receipt, expires, now time.Time) error
	// Postpone ends the lease, and makes the delivery due at until.
	Postpone(ctx context.Context, o Order, reason string, until, now time.Time) error
	// GiveUp ends a delivery for good.
	GiveUp(ctx context.Context, o Order, reason string, now time.Time) error
	// Report records what a provider reports later about a message; false when the message is not known or has been reported on.
	Report(ctx context.Context, providerID string, s DeliveryStatus, reason string, now time.Time) (bool, error)
	// Record adds an event to the audit trail.
	Record(ctx context.Context, e Event) error
}

// Event is one thing that happened to a challenge.
type Event struct {
	At        time.Time
	Action    string // the operation
	Actor     string
	Service   bool // the actor is a service
	Target    string
	Denied    bool
	RequestID string
	Detail    map[string]string
}
