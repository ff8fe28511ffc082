package passkey

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
)

// Repository keeps passkeys and the challenges for them.
type Repository interface {
	// Alter runs fn as one change: all of it is kept, or nothing. fn may run more than once.
	Alter(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Passkeys returns the subject's active passkeys.
	Passkeys(ctx context.Context, subject string) ([]Stored, error)
	// Passkey returns the active passkey whose id has this sum; false when there is none.
	Passkey(ctx context.Context, sum string) (Stored, bool, error)
	// PasskeyChallenge returns a challenge; false when there is none.
	PasskeyChallenge(ctx context.Context, id string) (Challenge, bool, error)
	// Expired reports whether a passkey of the subject has waited too long for its confirmation.
	Expired(ctx context.Context, subject, factorID string, now time.Time) (bool, error)
	// SweepPasskeys removes rows that nobody asks for any more.
	SweepPasskeys(ctx context.Context, now time.Time) error
}

// Tx is an open change.
type Tx interface {
	factor.Tx
	// DropWaiting deletes the subject's passkeys that wait for their confirmation, and returns how many still could have got it.
	DropWaiting(ctx context.Context, subject string, now time.Time) (int, error)
	// InsertWaiting adds a pending passkey.
	InsertWaiting(ctx context.Context, r factor.Record) error
	// ActivatePasskey confirms a pending passkey; false when it is pending no more. The change ends with ErrKnown when an active passkey has the id already.
	ActivatePasskey(ctx context.Context, s Stored, sum string, counter uint32, now time.Time) (bool, error)
	// PutChallenge adds a challenge in place of an earlier one of the session.
	PutChallenge(ctx context.Context, c Challenge) error
	// TakeChallenge uses a challenge up; false when it was used, has expired, or a backup was restored since it was made.
	TakeChallenge(ctx context.Context, id string, now time.Time) (bool, error)
	// TakeSignIn uses a sign-in up that began and ends at these times; false when it was used, or a backup was restored since it began.
	TakeSignIn(ctx context.Context, id string, began, ends time.Time) (bool, error)
	// Sign notes a signature of an active passkey and its counter. With forward, a counter that does not count on, and is not 0 from the beginning,
	// changes nothing.
	Sign(ctx context.Context, factorID string, counter uint32, forward bool, now time.Time) (Signed, error)
}

// Signed is what came of noting a signature.
type Signed int

// The outcomes of noting a signature.
const (
	Noted   Signed = iota
	Back           // the counter went back, or stood still
	Revoked        // the passkey is active no more
)
