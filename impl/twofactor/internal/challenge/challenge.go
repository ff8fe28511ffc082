// Package challenge holds the rules of delivered codes: who may ask for one, how often, when it is right, and that it is accepted once. It knows neither
// HTTP, nor the database, nor how messages are sent.
package challenge

import (
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/clock"
)

// Status is the state of a challenge.
type Status string

// The states of a challenge. Expired and Exhausted are not stored: an open challenge is reported as one when its time or its attempts have run out.
const (
	Open      Status = "open"
	Verified  Status = "verified"
	Cancelled Status = "cancelled"
	Replaced  Status = "replaced" // a newer one for the same subject and purpose has replaced it
	Expired   Status = "expired"
	Exhausted Status = "exhausted"
)

// DeliveryStatus is the state of a delivery.
type DeliveryStatus string

// The states of a delivery.
const (
	Queued    DeliveryStatus = "queued"
	Sent      DeliveryStatus = "sent"      // the provider has accepted it
	Delivered DeliveryStatus = "delivered" // the provider reports that it arrived
	Failed    DeliveryStatus = "failed"
)

// The limits of challenges.
const (
	// MaxAttempts is how many attempts are checked for one challenge, resends included.
	MaxAttempts = 5
	// DefaultLife, ShortestLife and LongestLife are lifetimes of a code, from the moment when the provider accepts the message.
	DefaultLife  = 60 * time.Second
	ShortestLife = 30 * time.Second
	LongestLife  = 600 * time.Second
	// LongestChallenge is the age of a challenge at which all its codes expire, whenever the provider accepted them.
	LongestChallenge = 10 * time.Minute
	// FurthestEnd is how far from now a challenge can end without a wrong clock: the clocks of replicas differ a little.
	FurthestEnd = LongestChallenge + clock.Slack
	// ResendPause is how long after a code another can be sent at the earliest.
	ResendPause = 30 * time.Second
	// GuessCap is how many wrong codes are checked for all challenges of a subject in GuessWindow. With codes of six digits a guesser succeeds with a probability of 1e-4.
	GuessCap    = 100
	GuessWindow = 30 * 24 * time.Hour
)

// Challenge asks for a code that was sent, or is being sent, for one subject, client and purpose.
type Challenge struct {
	ID         string
	Subject    string
	Client     string
	Purpose    string
	Channel    delivery.Channel // "": the subject has no suitable factor, and no code is right
	FactorID   string
	Operation  string
	Status     Status // as stored
	Attempts   int
	Life       time.Duration
	DeliveryID string
	CodeSum    []byte
	Created    time.Time
	CodeAt     time.Time
	Expires    time.Time
	Used       time.Time // zero: never

	Delivery     DeliveryStatus // of the present code; read only
	Reason       string         // why the present code was not delivered
	MaskedTarget string         // read only
}

// StatusAt returns the status as it is reported at a time.
func (c *Challenge) StatusAt(now time.Time) Status {
	switch {
	case c.Status != Open:
		return c.Status
	case c.Attempts >= MaxAttempts:
		return Exhausted
	case !now.Before(c.Expires) || c.Expires.After(now.Add(FurthestEnd)): // or made while the clock was ahead
		return Expired
	}
	return Open
}

// AttemptsLeft returns how many attempts are still checked.
func (c *Challenge) AttemptsLeft() int { return max(0, MaxAttempts-c.Attempts) }

// ResendAfter returns when another code can be sent at the earliest.
func (c *Challenge) ResendAfter() time.Time { return c.CodeAt.Add(ResendPause) }

// enrols reports whether the challenge asks for the first code of a factor.
func (c *Challenge) enrols() bool { return c.Purpose == enrolPurpose(c.FactorID) }

// enrolPurpose returns the purpose of a factor's first code. No caller can name it.
func enrolPurpose(factorID string) string { return "enrol:" + factorID }

// shownPurpose is the purpose that a message states for the first code of a factor.
const shownPurpose = "confirming this address"

// ShownPurpose returns the purpose as people see it.
func (c *Challenge) ShownPurpose() string {
	if c.enrols() {
		return shownPurpose
	}
	return c.Purpose
}

// Caller is the user or service that calls an operation.
type Caller struct {
	factor.Caller
	Service bool // it is a service, which names the subject; otherwise it is the subject
}

// Delivery is one message, a code or a notice, and the state of its delivery.
type Delivery struct {
	ID          string
	ChallengeID string
	Subject     string
	FactorID    string
	Channel     delivery.Channel
	SealedCode  []byte        // for a notice: the sealed target
	Notice      factor.Notice // "" for a code
	Status      DeliveryStatus
	Tries       int
	Provider    string
	ProviderID  string
	Reason      string
	GivesUp     time.Time
	Created     time.Time
	SentAt      time.Time // zero: never

	MaskedTarget string // read only
}

// Order is a delivery that a worker has claimed, with what it needs to send it.
type Order struct {
	Delivery
	Lease        string
	Purpose      string
	Operation    string
	Life         time.Duration
	Began        time.Time // when the challenge was created
	Current      bool      // the delivery has the present code of an open challenge
	SealedTarget []byte    // empty: the factor was revoked or deleted
}

// Target is a factor to which codes are sent.
type Target struct {
	FactorID string
	Channel  delivery.Channel
	Sealed   []byte
	Sum      string
	Masked   string
}
