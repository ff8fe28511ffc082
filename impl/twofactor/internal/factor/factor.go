// Package factor holds the rules of second factors: who may add one, when a code is right, how often one may guess, and
// that a code is good once. It knows neither how requests arrive nor how rows are kept.
package factor

import (
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
)

// Status is where a factor stands.
type Status string

// The states of a factor. Locked is no stored state: an active factor is locked while it takes no code.
const (
	Pending Status = "pending"
	Active  Status = "active"
	Locked  Status = "locked"
	Revoked Status = "revoked"
)

// Types of factors that are no channel of delivery.
const (
	TypeTOTP    = "totp" // authenticator apps and tokens
	TypePasskey = "passkey"
)

const (
	// MaxFactors is how many factors a subject has at most, pending ones counted.
	MaxFactors = 5
	// PendingLife is how long an enrolment waits for its first code.
	PendingLife = 10 * time.Minute
	// FreshSignIn is how old a sign-in may be to enrol the first factor.
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
	// MaskedTarget is what the owner is shown of where codes are sent; "" for an authenticator.
	MaskedTarget string
}

// Record is a factor with what only its keeper knows.
type Record struct {
	Factor
	SealedSeed []byte
	LastStep   int64      // the newest step that was accepted
	Spent      totp.Steps // steps whose codes were accepted of nobody who can be told again; the repository keeps the others with who gave them
	Clock      totp.Clock
	Attempts   int64 // at a pending factor, since its enrolment
	SteppedUp  bool  // enrolled with a code of another factor
	// InvitationID names the kms's invitation with which an administrator enrolled; "" for everybody else.
	InvitationID string
}

// FurthestStep is how many steps beyond the current one, moved by the drift, the last step can honestly be: replicas' clocks differ.
const FurthestStep = int64(clock.Slack / (30 * time.Second))

// used reports whether a code of the step, or of a later one, was accepted. One from so far ahead that no code of now could have its step was
// accepted by a clock that was ahead.
func (r *Record) used(step int64, now time.Time) (bool, error) {
	if step <= r.LastStep && !r.ahead(now) {
		return true, nil
	}
	return r.Spent.Has(step)
}

// spendLife is how long accepted steps are remembered at least: longer than clocks are set back by mistake.
const spendLife = 48 * time.Hour

// spend puts a step among those that are spent.
func (r *Record) spend(step int64, now time.Time) (err error) {
	r.Spent, err = r.Spent.With(step, r.Parameters.Step(now.Add(-spendLife)))
	return err
}

// ahead reports whether the last step was accepted by a clock that was ahead.
func (r *Record) ahead(now time.Time) bool {
	return r.LastStep > r.Parameters.Step(now)+r.Clock.Drift+FurthestStep
}

// Caller is on whose behalf something is done, and what its sign-in is worth.
type Caller struct {
	Subject   string
	Account   string // what an authenticator shows for the subject; empty: the subject itself
	Client    string // the client of the session
	Session   string // empty: the caller has no session that could be raised
	Token     string // the access token, for asking the kms about it
	RequestID string
	Address   string // network address of the client
	// SecondFactor is nil when the caller gave a code of an active factor just now, else the refusal that asks for one.
	SecondFactor error
	// SignIn is nil when the caller signed in within FreshSignIn, else the refusal that asks for it.
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

// Proof says that a right code was given.
type Proof struct {
	Token    string
	ACR      string
	AMR      []string
	AuthTime time.Time
	Expires  time.Time
}
