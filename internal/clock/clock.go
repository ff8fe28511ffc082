// Package clock gives the rest of the house one way to ask for the time, so that tests can move it.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time. Code that compares, stores or signs times takes a Clock; code that only measures a duration
// may use time.Now.
type Clock interface {
	// Now returns the current time in UTC.
	Now() time.Time
}

// Slack is how far the clocks of replicas may be apart. A stored mark that lies further ahead than its longest honest value and this was made
// by a clock that was ahead and has been set right since.
const Slack = time.Minute

// System is the machine's clock.
var System Clock = system{}

type system struct{}

func (system) Now() time.Time { return time.Now().UTC() }

// Fake is a Clock that stands still until it is moved. It is safe for concurrent use.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	elapsed time.Duration
}

// NewFake returns a Fake that shows t.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC()} }

// Now returns the time the clock was last set or advanced to.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Elapsed returns the sum of all that the clock was advanced by.
func (f *Fake) Elapsed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.elapsed
}

// Advance lets d pass. A negative d sets the clock back, as real clocks are; no time goes back with it.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.elapsed += max(d, 0)
}

// Set sets the clock to t; no time passes.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t.UTC()
}
