// Package ratelimit counts requests by the generic cell rate algorithm (ITU-T I.371): a key's whole state is its theoretical arrival time
// (TAT), the one time until which it has used up its allowance. Keys are counted in this process, or in a Redis that several processes share.
package ratelimit

import "time"

// maxCapacity bounds what a limit may let through at once, as time. Twice of it fits a Duration, and in microseconds a number of Lua.
const maxCapacity = 100 * 365 * 24 * time.Hour

// Limit is a policy in the terms of the algorithm. The zero value is none: NewLimit makes them.
type Limit struct {
	interval time.Duration // in which one unit comes back, a whole number of microseconds
	burst    int           // units that there are at once
	cost     int           // units of one request
}

// NewLimit returns the limit of quota units in each window, of which burst are there at once, and of which one request takes cost. The burst is
// at least the cost, and no part of the limit is below one unit or one microsecond: a limit never becomes one that refuses all or none.
func NewLimit(quota int, window time.Duration, burst, cost int) Limit {
	cost = max(cost, 1)
	l := Limit{interval: max((window / time.Duration(max(quota, 1))).Truncate(time.Microsecond), time.Microsecond)}
	l.burst = min(max(burst, cost), max(int(maxCapacity/l.interval), 1))
	l.cost = min(cost, l.burst)
	return l
}

// Burst returns how many units there are at once.
func (l Limit) Burst() int { return l.burst }

// Window returns in what time a burst comes back whole.
func (l Limit) Window() time.Duration { return l.interval * time.Duration(l.burst) }

// increment is what a request adds to the TAT.
func (l Limit) increment() time.Duration { return l.interval * time.Duration(l.cost) }

// Decision says how a request stands against one limit.
type Decision struct {
	Allowed   bool
	Remaining int           // requests that would be allowed right after this one
	Reset     time.Duration // until the whole allowance is back
	Retry     time.Duration // until a request like this one is allowed; 0 when this one is

	tat time.Duration // of the key from now on
}

// decide is the algorithm, and all of it: what a request that adds increment to the TAT gets of a limit at a moment. An increment of 0 only
// asks how the key stands. The script of redis.go decides the same; a test holds the two together.
func decide(l Limit, tat, now, increment time.Duration) Decision {
	capacity := l.Window()
	// The TAT lies in the past: the key was idle and has its whole allowance. Longer idleness is no further credit, or the burst would have
	// no end.
	if tat < now {
		tat = now
	}
	// No request that was admitted puts the TAT further ahead than the capacity. One that is further was written under a larger limit, or by
	// the clock of a Redis that was ahead and has been set right; nobody waits for the time that it had.
	if tat > now+capacity {
		tat = now + capacity
	}
	next := tat + increment
	// The request would use more than there is at once. It is refused and takes nothing, so that a caller who asks too early again and again is
	// admitted as soon as one who waits. What remains is less than one request.
	if wait := next - (now + capacity); wait > 0 {
		return Decision{Reset: tat - now, Retry: wait, tat: tat}
	}
	// There is enough: the TAT moves on, and what lies between it and the end of the capacity is left for further requests.
	return Decision{Allowed: true, Remaining: int((now + capacity - next) / l.increment()), Reset: next - now, tat: next}
}
