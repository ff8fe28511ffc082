package totp

import (
	"crypto/subtle"
	"slices"
	"time"
)

// Clock is what is known of a device's clock, in steps from the server's. The zero value is a clock that is right.
type Clock struct {
	Drift  int64 // by which it is ahead; negative: behind
	Offset int64 // of the last accepted code from the server's step at that time
}

// MaxDrift is how far Learn moves the drift away from 0, in steps. What is further off takes a resynchronisation.
const MaxDrift = 2

// offsets are the accepted steps around the server's, in rising order: the window of a right clock always, so that a drift that was learned from slow typing
// refuses nobody, and the same window moved by the drift.
func (c Clock) offsets() []int64 {
	offsets := []int64{-windowPast, windowFuture, c.Drift - windowPast, c.Drift + windowFuture}
	slices.Sort(offsets)
	return slices.Compact(offsets)
}

// Learn returns the clock after a code of this offset was accepted. The drift moves by one step, towards an offset that was seen twice in a row.
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

// resyncReach is how many steps a device may be off for Resync to find it, either way.
const resyncReach = 10

// Resync looks for two codes that follow each other, within resyncReach steps of t, each pair compared in constant time and without stopping early. It returns
// the step of the second, and the clock that shows it; ok is false when there is no such pair.
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
