package totp

import "slices"

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
