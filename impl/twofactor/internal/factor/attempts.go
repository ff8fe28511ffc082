package factor

import (
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// Limits on wrong codes. With two codes valid at a time, HardCap guesses find a code of six digits with a chance of 2e-4 in
// all; a lock by time alone would let a patient guesser in within a year.
const (
	// RoundCap is how many wrong codes lock a factor for a while.
	RoundCap = 5
	// HardCap is how many wrong codes in a row lock it for good.
	HardCap = 100
)

// Locks are the durations of the first, second, ... lock; the last one repeats.
var Locks = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// LongestLock is the furthest that a lock can end from now; one that ends later was set by a clock that was ahead.
var LongestLock = Locks[len(Locks)-1] + clock.Slack

// Admission is the outcome of counting an attempt before it is looked at.
type Admission struct {
	Records []Record  // the factors that take the attempt, by ID
	Decoy   bool      // Records is one seed that belongs to nobody: the subject has no such factor
	Until   time.Time // when Records is empty: when the first factor is unlocked
}

// refusal is what a locked factor answers.
func (a Admission) refusal(now time.Time) error {
	return LockedOut(a.Until.Sub(now))
}

func invalidCode() error {
	return Refuse(InvalidCode, "The code is not valid.")
}
