// Package ratelimit limits requests by the generic cell rate algorithm (ITU-T I.371): a key's whole state is its theoretical arrival time (TAT), the
// time until which its allowance is used up. Keys are counted in this process, or in a Redis that several processes share.
package ratelimit

import "time"

// maxCapacity bounds the burst of a limit, expressed as time. Twice its value fits a Duration and, in microseconds, a Lua number.
const maxCapacity = 100 * 365 * 24 * time.Hour

// Limit is a limit in terms of the algorithm. Use NewLimit; the zero value is not a valid limit.
type Limit struct {
	interval time.Duration // after which one unit is available again, a whole number of microseconds
	burst    int           // units that are available at once
	cost     int           // units of one request
}

// NewLimit returns a limit of quota units per window, of which burst are available at once, and of which one request takes cost. The burst is at
// least the cost, and no value is below one unit or one microsecond, so that a limit never refuses all requests or none.
func NewLimit(quota int, window time.Duration, burst, cost int) Limit {
	cost = max(cost, 1)
	l := Limit{interval: max((window / time.Duration(max(quota, 1))).Truncate(time.Microsecond), time.Microsecond)}
	l.burst = min(max(burst, cost), max(int(maxCapacity/l.interval), 1))
	l.cost = min(cost, l.burst)
	return l
}

// Burst returns how many units are available at once.
func (l Limit) Burst() int { return l.burst }

// Window returns the time in which a used burst is completely available again.
func (l Limit) Window() time.Duration { return l.interval * time.Duration(l.burst) }

// increment returns by how much a request advances the TAT.
func (l Limit) increment() time.Duration { return l.interval * time.Duration(l.cost) }

// Decision is the result of a request for one limit.
type Decision struct {
	Allowed   bool
	Remaining int           // requests that would be allowed right after this one
	Reset     time.Duration // until the whole allowance is available again
	Retry     time.Duration // until a request like this one is allowed; 0 when it is allowed

	tat time.Duration // the key's new TAT
}

// decide is the whole algorithm: the decision of a limit about a request that adds increment to the TAT, at the time now. With an increment of 0 it
// only reports the state. The script take.lua implements the same; a test compares the two.
func decide(l Limit, tat, now, increment time.Duration) Decision {
	capacity := l.Window()
	// The TAT is in the past: the key was idle and has its whole allowance. A longer idle time gives no further credit, otherwise the burst would be
	// unbounded.
	if tat < now {
		tat = now
	}
	// An admitted request never sets the TAT further ahead than the capacity. One that is further ahead was written under a larger limit, or by a
	// Redis whose clock was ahead and has been corrected; callers need not wait for that time.
	if tat > now+capacity {
		tat = now + capacity
	}
	next := tat + increment
	// The request needs more than is available. It is refused and takes nothing, so that a caller who retries too early is admitted as soon as one
	// who waits. What remains is less than one request.
	if wait := next - (now + capacity); wait > 0 {
		return Decision{Reset: tat - now, Retry: wait, tat: tat}
	}
	// There is enough: the TAT advances, and the time between it and the end of the capacity remains for further requests.
	return Decision{Allowed: true, Remaining: int((now + capacity - next) / l.increment()), Reset: next - now, tat: next}
}
