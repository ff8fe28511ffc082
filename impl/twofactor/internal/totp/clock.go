package totp

import (
	"crypto/subtle"
	"slices"
	"time"
)

// Clock is what is known about the clock of a device, in steps relative to the server's. The zero value is a clock that is right.
type Clock struct {
	Drift  int64 // how far the clock is ahead; negative: behind
	Offset int64 // of the step of the last accepted code from the server's step at that time
}

// MaxDrift is how far from 0 Learn moves the drift, in steps. A clock that is further off needs Resync.
const MaxDrift = 2

// offsets returns the offsets of the accepted steps from the server's step, in ascending order. They are the window of a right clock and the same window moved by
// the drift. The window of a right clock always counts, so that a drift that was learned from slow typing causes no refusal.
func (c Clock) offsets() []int64 {
	offsets := []int64{-windowPast, windowFuture, c.Drift - windowPast, c.Drift + windowFuture}
	slices.Sort(offsets)
	return slices.Compact(offsets)
}

// Learn returns the clock after a code with this offset was accepted. When an offset is seen twice in a row, the drift moves by one step towards it.
func (c Clock) Learn(offset int64) Clock {
	if offset == c.Offset {
		switch {
		case offset < c.Drift && (c.Drift > 0 || c.Drift > -MaxDrift):
			c.Drift--
		case offset > c.Drift && (c.Drift < 0 || c.Drift < MaxDrift):
			c.Drift++
		}
	}
	c.Offset = offset
	return c
}

// resyncReach is how many steps the clock of a device may be ahead or behind for Resync to find it.
const resyncReach = 10

// Resync looks for two consecutive codes within resyncReach steps of t. It compares in constant time and does not stop early. It returns the step of the second
// code and the clock that shows it. ok is false when there is no such pair.
func Resync(seed []byte, p Parameters, t time.Time, first, second string) (step int64, c Clock, ok bool, err error) {
	if !WellFormed(first) || !WellFormed(second) || len(first) != p.Digits || len(second) != p.Digits {
		return 0, Clock{}, false, nil
	}
	current := p.Step(t)
	before := 0 // 1 when the code of the step before was first
	for offset := int64(-resyncReach); offset <= resyncReach; offset++ {
		expected, err := Code(seed, p, current+offset)
		if err != nil {
			return 0, Clock{}, false, err
		}
		found := before & subtle.ConstantTimeCompare([]byte(expected), []byte(second))
		step = int64(subtle.ConstantTimeSelect(found, int(current+offset), int(step)))
		ok = ok || found == 1
		before = subtle.ConstantTimeCompare([]byte(expected), []byte(first))
	}
	return step, Clock{Drift: step - current, Offset: step - current}, ok, nil
}
