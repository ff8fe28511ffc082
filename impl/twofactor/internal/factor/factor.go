// Package factor holds the rules of second factors: who may add one, when a code is right, how often a caller may guess, and
// that each code is accepted once. It knows neither HTTP nor the database.
package factor

import (
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
)

// Status is the state of a factor.
type Status string

// The states of a factor. Locked is not stored: an active TOTP factor is shown as locked while codes of its subject are not checked.
const (
	Pending Status = "pending"
	Active  Status = "active"
	Locked  Status = "locked"
	Revoked Status = "revoked"
)

// Types of factors. For a factor to which codes are sent, the type is the channel of delivery.
const (
	TypeTOTP    = "totp" // authenticator apps and tokens
	TypePasskey = "passkey"
)

const (
	// MaxFactors is how many factors a subject has at most, pending ones included.
	MaxFactors = 5
	// PendingLife is how long an enrolment can be confirmed.
	PendingLife = 10 * time.Minute
	// FreshSignIn is the maximum age of a sign-in with which the first factor is enrolled.
	FreshSignIn = 15 * time.Minute
)

// Factor is one authenticator of a subject.
type Factor struct {
	ID         string
	Subject    string
	Type       string
	Label      string
	Status     Status
	Parameters totp.Parameters
	Created    time.Time
	Expires    time.Time // of the enrolment
	Confirmed  time.Time // zero: never
	LastUsed   time.Time // zero: never
	// MaskedTarget is what the owner is shown of the address to which codes are sent; "" for other factors.
	MaskedTarget string
}

// Record is a factor with the data that only the rules and the repository know.
type Record struct {
	Factor
	SealedSeed []byte
	LastStep   int64      // the newest step that was accepted
	Spent      totp.Steps // steps of accepted codes of passing sessions (Attempt.Passing); the repository stores the other accepted steps with their sessions
	Clock      totp.Clock
	Attempts   int64 // at a pending factor, since its enrolment
	SteppedUp  bool  // enrolled with a second factor
	// InvitationID is the id of the kms's invitation with which an administrator enrolled; "" for all others.
	InvitationID string
}

// FurthestStep is how many steps the last step can be beyond the current one, moved by the drift, without a wrong clock: the clocks of replicas differ a little.
const FurthestStep = int64(clock.Slack / (30 * time.Second))

// used reports whether a code of the step, or of a later one, was accepted. A last step that no code can have now was set while the clock was
// ahead. It is ignored; Spent is not.
func (r *Record) used(step int64, now time.Time) (bool, error) {
	if step <= r.LastStep && !r.ahead(now) {
		return true, nil
	}
	return r.Spent.Has(step)
}

// spendLife is how long accepted steps are kept at least: longer than clocks are set back by mistake.
const spendLife = 48 * time.Hour

// spend adds a step to Spent.
func (r *Record) spend(step int64, now time.Time) (err error) {
	r.Spent, err = r.Spent.With(step, r.Parameters.Step(now.Add(-spendLife)))
	return err
}

// ahead reports whether the last step was set while the clock was ahead.
func (r *Record) ahead(now time.Time) bool {
	return r.LastStep > r.Parameters.Step(now)+r.Clock.Drift+FurthestStep
}

// Caller is the user on whose behalf an operation runs, and what their sign-in has proved.
type Caller struct {
	Subject   string
	Account   string // the name that an authenticator shows; empty: the subject
	Client    string // the client of the session
	Session   string // empty: the caller has no session that could be raised
	Token     string // the access token, for asking the kms about it
	RequestID string
	Address   string // network address of the client
	// SecondFactor is nil when the caller has just used a second factor, else the refusal that asks for one.
	SecondFactor error
	// SignIn is nil when the caller signed in within FreshSignIn, else the refusal that asks for a new sign-in.
	SignIn error
}

// Enrolment is a pending factor with its seed, which is shown once.
type Enrolment struct {
	FactorID   string          `json:"factorId"`
	URI        string          `json:"uri"`
	Secret     string          `json:"secret"`
	Parameters totp.Parameters `json:"parameters"`
	Expires    time.Time       `json:"expires"`
}

// Proof is a signed proof that a right code was given.
type Proof struct {
	Token    string
	ACR      string
	AMR      []string
	AuthTime time.Time
	Expires  time.Time
}
