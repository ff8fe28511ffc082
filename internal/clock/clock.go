// Package clock provides the time to all other packages, so that tests can control it.
package clock

import (
	"sync"
	"time"
)

// Clock returns the time. Code that compares, stores or signs times takes a Clock; code that only measures a duration may use time.Now.
type Clock interface {
	// Now returns the current time in UTC.
	Now() time.Time
}

// Slack is how far the clocks of replicas may differ. A stored time that is further in the future than its longest correct value plus Slack was
// written by a clock that was ahead and has been corrected since.
const Slack = time.Minute

// System is the machine's clock.
var System Clock = system{}

type system struct{}

func (system) Now() time.Time { return time.Now().UTC() }

// Fake is a Clock that only moves when a test moves it. It is safe for concurrent use.
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

// Elapsed returns the sum of all advances.
func (f *Fake) Elapsed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.elapsed
}

// Advance moves the time by d. A negative d sets the clock back, as happens to real clocks; the elapsed time does not go back with it.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.elapsed += max(d, 0)
}

// Set sets the time to t. The elapsed time does not change.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t.UTC()
}
