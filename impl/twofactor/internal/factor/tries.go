package factor

import (
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// Limits on wrong codes. Only a signed-in subject, or a service, can give any. Two codes of six digits are valid at a time for each factor, so one guess
// finds one with a chance of 2e-6; with the store of guesses that makes 2e-4 at once and 1.7e-3 in a year that nobody looks at the audit trail.
const (
	// RoundCap is how many wrong codes in a row lock the subject for a while.
	RoundCap = 5
	// MaxGuesses is how many wrong codes a subject has in store.
	MaxGuesses = 100
	// GuessEvery is how long it takes until the store holds one more.
	GuessEvery = 12 * time.Hour
)

// Locks are the durations of the first, second, ... lock; the last one repeats.
var Locks = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// LongestLock is the furthest that a lock can end from now; one that ends later was set by a clock that was ahead.
var LongestLock = Locks[len(Locks)-1] + clock.Slack

// Tries are what a subject's wrong codes have come to. A code names no factor, so they are counted for the subject and not for each factor: typing errors
// on one device cost the other nothing.
//
// Two counts hold. Wrong codes in a row lock for a while, longer each time; a right one ends that. The store of guesses is filled again by time alone,
// except that a right code gives back the wrong ones that the same session gave just before: those were typing errors of the same person, and others'
// guesses stay counted however often the owner signs in.
type Tries struct {
	Wrong       int64     // in a row, whoever gave them
	LockedUntil time.Time // zero: never was
	Full        time.Time // when the store of guesses is full again; zero or past: it is (GCRA's theoretical arrival time)
	Run         int64     // wrong codes in a row of RunSession
	RunSession  string
}

// refusal is what is answered while no code is looked at, nil when one is.
func (t *Tries) refusal(now time.Time) error {
	if t.LockedUntil.After(now) && !t.LockedUntil.After(now.Add(LongestLock)) {
		return &TooManyAttempts{After: t.LockedUntil.Sub(now)}
	}
	if wait := t.full(now).Sub(now) - (MaxGuesses-1)*GuessEvery; wait > 0 {
		return &TooManyAttempts{After: wait}
	}
	return nil
}

// Locked reports whether no code is looked at now.
func (t *Tries) Locked(now time.Time) bool { return t.refusal(now) != nil }

// full is Full without what only a clock that was ahead can have set.
func (t *Tries) full(now time.Time) time.Time {
	if t.Full.Before(now) || t.Full.After(now.Add(MaxGuesses*GuessEvery+clock.Slack)) {
		return now
	}
	return t.Full
}

// fail counts a wrong code of a session and reports whether it locked the subject.
func (t *Tries) fail(session string, now time.Time) (locked bool) {
	t.Full = t.full(now).Add(GuessEvery)
	if t.RunSession != session {
		t.Run, t.RunSession = 0, session
	}
	t.Run++
	t.Wrong++
	if t.Wrong%RoundCap != 0 {
		return false
	}
	t.LockedUntil = now.Add(Locks[min(t.Wrong/RoundCap, int64(len(Locks)))-1])
	return true
}

// succeed ends a lock, and gives the session back what it has just got wrong.
func (t *Tries) succeed(session string) {
	if t.RunSession == session {
		t.Full = t.Full.Add(-time.Duration(t.Run) * GuessEvery)
	}
	t.Wrong, t.LockedUntil, t.Run, t.RunSession = 0, time.Time{}, 0, ""
}

// spare is what a session that has given a right code lately may get wrong while the subject is locked: whoever guesses in another session, with the
// password alone, does not keep the owner out of this one.
const spare = RoundCap

// Proven is what is known of a session that gave a right code, or a recovery code, within the last ProvenLife.
type Proven struct {
	Is    bool
	Wrong int64 // wrong codes that it gave while the subject was locked
}

// ProvenLife is how long a right code keeps a session apart from others' guesses.
const ProvenLife = 48 * time.Hour
