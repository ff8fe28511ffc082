// Package challenge holds the rules of delivered codes: who may ask for one, how often, when it is right, and that it is good once. It knows neither how
// requests arrive, nor how rows are kept, nor how messages travel.
package challenge

import (
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/clock"
)

// Status is where a challenge stands.
type Status string

// The states of a challenge. Expired and Exhausted are no stored states: an open challenge is one when its time or its attempts have run out.
const (
	Open      Status = "open"
	Verified  Status = "verified"
	Cancelled Status = "cancelled"
	Replaced  Status = "replaced" // a newer one for the same subject and purpose took its place
	Expired   Status = "expired"
	Exhausted Status = "exhausted"
)

// DeliveryStatus is what became of a code on its way.
type DeliveryStatus string

// The states of a delivery.
const (
	Queued    DeliveryStatus = "queued"
	Sent      DeliveryStatus = "sent"      // the provider has taken it over
	Delivered DeliveryStatus = "delivered" // the provider says that it arrived
	Failed    DeliveryStatus = "failed"
)

// The limits of challenges.
const (
	// MaxAttempts is how many codes are looked at for one challenge, resends included.
	MaxAttempts = 5
	// DefaultLife, ShortestLife and LongestLife are of a code, counted from the moment when the provider takes the message over.
	DefaultLife  = 60 * time.Second
	ShortestLife = 30 * time.Second
	LongestLife  = 600 * time.Second
	// LongestChallenge ends every code of a challenge, whenever it was taken over.
	LongestChallenge = 10 * time.Minute
	// FurthestEnd is how far from now a challenge can honestly end: replicas' clocks differ.
	FurthestEnd = LongestChallenge + clock.Slack
	// ResendPause is how long one waits for a code before another is sent.
	ResendPause = 30 * time.Second
	// GuessCap is how many wrong codes a subject's challenges take in GuessWindow. With codes of six digits it lets a guesser in with a chance of 1e-4.
	GuessCap    = 100
	GuessWindow = 30 * 24 * time.Hour
)

// Challenge is a code that was sent, or is on its way, for one subject, client and purpose.
type Challenge struct {
	ID         string
	Subject    string
	Client     string
	Purpose    string
	Channel    delivery.Channel // "": the subject has no such factor, and no code is right
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
	Reason       string         // why it was not delivered
	MaskedTarget string         // read only
}

// StatusAt returns the status as it is told at a moment.
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

// AttemptsLeft returns how many codes are still looked at.
func (c *Challenge) AttemptsLeft() int { return max(0, MaxAttempts-c.Attempts) }

// ResendAfter returns when another code may be asked for.
func (c *Challenge) ResendAfter() time.Time { return c.CodeAt.Add(ResendPause) }

// enrols reports whether the challenge is the first code of a factor.
func (c *Challenge) enrols() bool { return c.Purpose == enrolPurpose(c.FactorID) }

// enrolPurpose is the purpose of a factor's first code. No caller can name it.
func enrolPurpose(factorID string) string { return "enrol:" + factorID }

// shownPurpose is what a message says of the first code of a factor.
const shownPurpose = "confirming this address"

// ShownPurpose is the purpose as people see it.
func (c *Challenge) ShownPurpose() string {
	if c.enrols() {
		return shownPurpose
	}
	return c.Purpose
}

// Caller is on whose behalf something is done.
type Caller struct {
	factor.Caller
	Service bool // a service, that names the subject; else the subject itself
}

// Delivery is one code on its way.
type Delivery struct {
	ID          string
	ChallengeID string
	Subject     string
	FactorID    string
	Channel     delivery.Channel
	SealedCode  []byte        // of a notice: the sealed target
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

// Order is a delivery that a worker has taken up, with what it needs for it.
type Order struct {
	Delivery
	Lease        string
	Purpose      string
	Operation    string
	Life         time.Duration
	Began        time.Time // of the challenge
	Current      bool      // it brings the present code of an open challenge
	SealedTarget []byte    // empty: the factor is gone
}

// Target is a factor to which codes are sent.
type Target struct {
	FactorID string
	Channel  delivery.Channel
	Sealed   []byte
	Sum      string
	Masked   string
}
