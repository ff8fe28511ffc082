package challenge

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
)

// Repository keeps challenges and deliveries.
type Repository interface {
	// Change runs fn as one change: all of it is kept, or nothing. fn may run more than once.
	Change(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Targets returns the subject's active factors to which codes are sent, the one that was used last first.
	Targets(ctx context.Context, subject string) ([]Target, error)
	// SealedTarget returns the target of a factor that is not revoked; none when it is gone.
	SealedTarget(ctx context.Context, subject, factorID string) ([]byte, error)
	// Challenge returns a challenge; false when there is none.
	Challenge(ctx context.Context, id string) (Challenge, bool, error)
	// Enrolling returns the newest challenge of a factor's enrolment; false when there is none.
	Enrolling(ctx context.Context, subject, factorID string) (Challenge, bool, error)
	// Deliveries returns deliveries, newest first, beginning after the cursor.
	Deliveries(ctx context.Context, after factor.Cursor, limit int) ([]Delivery, error)
	// Claim takes up due deliveries: each is nobody else's until the lease ends.
	Claim(ctx context.Context, lease string, now, until, honest time.Time, limit int) ([]Order, error)
	// SetRaising says of which channels codes raise a session.
	SetRaising(ctx context.Context, channels []delivery.Channel) error
	// SweepChallenges removes rows that nobody asks for any more.
	SweepChallenges(ctx context.Context, now time.Time) error
}

// Tx is an open change.
type Tx interface {
	factor.Tx
	// Spend counts one of at most most in the window that now lies in, in one statement; false when all are spent.
	Spend(ctx context.Context, kind, key string, most int, window time.Duration, now time.Time) (bool, error)
	// GiveBack takes one back.
	GiveBack(ctx context.Context, kind, key string, window time.Duration, now time.Time) error
	// Replace ends the open challenge of a subject and purpose.
	Replace(ctx context.Context, subject, purpose string, now time.Time) error
	// InsertChallenge adds a challenge, and InsertDelivery a code on its way.
	InsertChallenge(ctx context.Context, c Challenge) error
	InsertDelivery(ctx context.Context, d Delivery) error
	// Admit counts an attempt at an open challenge that takes one, and returns the challenge as it is then; false when it takes none.
	Admit(ctx context.Context, id, client string, now time.Time) (Challenge, bool, error)
	// Accept ends an open challenge whose code has this sum; false when another attempt was first, or the code has changed.
	Accept(ctx context.Context, id string, sum []byte, now time.Time) (bool, error)
	// Renew gives an open challenge another code; false when it takes none.
	Renew(ctx context.Context, c Challenge, now time.Time) (bool, error)
	// Cancel ends an open challenge of a client; false when there is none.
	Cancel(ctx context.Context, id, client string, now time.Time) (bool, error)
	// Drop gives up what is on its way for a challenge.
	Drop(ctx context.Context, challengeID, reason string, now time.Time) error
	// HasTarget reports whether the subject has the target already, confirmed.
	HasTarget(ctx context.Context, subject, sum string) (bool, error)
	// InsertTarget adds a pending factor to which codes are sent.
	InsertTarget(ctx context.Context, r factor.Record, t Target, raises bool) error
	// ActivateTarget confirms a pending factor; false when it is pending no more.
	ActivateTarget(ctx context.Context, subject, factorID string, now time.Time) (bool, error)
	// MarkUsed notes that a code of the factor was right.
	MarkUsed(ctx context.Context, factorID string, now time.Time) error
	// Handed ends a delivery that a provider has taken over, and begins the life of its code.
	Handed(ctx context.Context, o Order, r delivery.Receipt, expires, now time.Time) error
	// Postpone ends the lease and makes the delivery wait.
	Postpone(ctx context.Context, o Order, reason string, until, now time.Time) error
	// GiveUp ends a delivery for good.
	GiveUp(ctx context.Context, o Order, reason string, now time.Time) error
	// Report notes what a provider says later about a message; false when it is not known.
	Report(ctx context.Context, providerID string, s DeliveryStatus, reason string, now time.Time) (bool, error)
	// Record writes an event into the audit log.
	Record(ctx context.Context, e Event) error
}

// Event is one thing that happened to a challenge.
type Event struct {
	At        time.Time
	Action    string // the operation
	Actor     string
	Service   bool // the actor is one
	Target    string
	Denied    bool
	RequestID string
	Detail    map[string]string
}
