package factor

import (
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// Limits on wrong codes. Only a signed-in subject, or a service, can try codes. Two codes of six digits are valid for each factor at any time, so one guess
// is right with a probability of 2e-6. The budget of guesses bounds that to 2e-4 at once, and to 1.7e-3 in a year in which the audit trail is not looked at.
const (
	// RoundCap is how many wrong codes in a row lock the subject for a while.
	RoundCap = 5
	// MaxGuesses is how many wrong codes the full budget of a subject allows.
	MaxGuesses = 100
	// GuessEvery is the time after which the budget allows one wrong code more.
	GuessEvery = 12 * time.Hour
)

// Locks are the durations of the first, second, ... lock; the last one repeats.
var Locks = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// LongestLock is how far from now a lock can end. A lock that ends later was set while the clock was ahead, and is ignored.
var LongestLock = Locks[len(Locks)-1] + clock.Slack

// Tries counts a subject's wrong codes. A code names no factor, so wrong codes are counted for the subject. Counted for each factor, a typing error on one
// device would count against all others too.
//
// There are two counts. Wrong codes in a row lock the subject for a while, longer each time; a right code ends that. The budget of guesses recovers with
// time alone, with one exception: a right code gives back the wrong codes that the same session gave directly before it. Those were typing errors of the
// same person. Guesses in other sessions stay counted, however often the owner signs in.
type Tries struct {
	Wrong       int64     // in a row, in any session
	LockedUntil time.Time // zero: never was
	Full        time.Time // when the budget of guesses is full again; zero or past: it is full (GCRA's theoretical arrival time)
	Run         int64     // wrong codes in a row in RunSession
	RunSession  string
}

// refusal returns a *TooManyAttempts while codes are not checked, else nil.
func (t *Tries) refusal(now time.Time) error {
	if t.LockedUntil.After(now) && !t.LockedUntil.After(now.Add(LongestLock)) {
		return &TooManyAttempts{After: t.LockedUntil.Sub(now)}
	}
	if wait := t.full(now).Sub(now) - (MaxGuesses-1)*GuessEvery; wait > 0 {
		return &TooManyAttempts{After: wait}
	}
	return nil
}

// Locked reports whether codes are not checked at a time.
func (t *Tries) Locked(now time.Time) bool { return t.refusal(now) != nil }

// full returns when the budget is full: Full, or now when Full has passed or is so late that only a clock that was ahead can have set it.
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

// succeed ends a lock, and gives back the wrong codes that the session has given directly before.
func (t *Tries) succeed(session string) {
	if t.RunSession == session {
		t.Full = t.Full.Add(-time.Duration(t.Run) * GuessEvery)
	}
	t.Wrong, t.LockedUntil, t.Run, t.RunSession = 0, time.Time{}, 0, ""
}

// spare is how many wrong codes a proven session (Proven) may give while the subject is locked. So a guesser who has only the password, and another
// session, can't lock the owner out of this one.
const spare = RoundCap

// Proven says whether a session is proven: it has given a right code, or a recovery code, within the last ProvenLife.
type Proven struct {
	Is    bool
	Wrong int64 // wrong codes that it gave while the subject was locked
}

// ProvenLife is how long a session stays proven after a right code. Guesses in other sessions do not lock it out in that time.
const ProvenLife = 48 * time.Hour
