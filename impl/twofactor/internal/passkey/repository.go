package passkey

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
)

// Repository keeps passkeys and the challenges for them.
type Repository interface {
	// Alter runs fn in one transaction: all of it is stored, or nothing. fn may run more than once.
	Alter(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Passkeys returns the subject's active passkeys.
	Passkeys(ctx context.Context, subject string) ([]Stored, error)
	// Passkey returns the active passkey whose id has this sum; false when there is none.
	Passkey(ctx context.Context, sum string) (Stored, bool, error)
	// PasskeyChallenge returns a challenge; false when there is none.
	PasskeyChallenge(ctx context.Context, id string) (Challenge, bool, error)
	// Expired reports whether the enrolment of a pending passkey of the subject has expired.
	Expired(ctx context.Context, subject, factorID string, now time.Time) (bool, error)
	// SweepPasskeys deletes rows that are no longer needed.
	SweepPasskeys(ctx context.Context, now time.Time) error
}

// Tx is an open transaction.
type Tx interface {
	factor.Tx
	// DropWaiting deletes the subject's pending passkeys, and returns how many of them had not expired.
	DropWaiting(ctx context.Context, subject string, now time.Time) (int, error)
	// InsertWaiting adds a pending passkey.
	InsertWaiting(ctx context.Context, r factor.Record) error
	// ActivatePasskey confirms a pending passkey; false when it is no longer pending. The transaction fails with ErrKnown when an active passkey has the id already.
	ActivatePasskey(ctx context.Context, s Stored, sum string, counter uint32, now time.Time) (bool, error)
	// PutChallenge adds a challenge, which replaces an earlier one of the session.
	PutChallenge(ctx context.Context, c Challenge) error
	// TakeChallenge marks a challenge as used; false when it was used, has expired, or a backup was restored after it was made.
	TakeChallenge(ctx context.Context, id string, now time.Time) (bool, error)
	// TakeSignIn marks a sign-in as used that began and ends at these times; false when it was used, or a backup was restored after it began.
	TakeSignIn(ctx context.Context, id string, began, ends time.Time) (bool, error)
	// Sign records a signature of an active passkey and its counter. With forward, a counter that is not higher than the stored one changes nothing
	// and gives Back, unless both are 0: then the authenticator does not count.
	Sign(ctx context.Context, factorID string, counter uint32, forward bool, now time.Time) (Signed, error)
}

// Signed is the outcome of Tx.Sign.
type Signed int

// The outcomes of Tx.Sign.
const (
	Noted   Signed = iota
	Back           // the counter went back, or did not change
	Revoked        // the passkey is no longer active
)
