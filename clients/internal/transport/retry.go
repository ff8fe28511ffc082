package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Backoff gives the waits between attempts: Base doubled each time up to Max, of which a random quarter is taken off.
type Backoff struct {
	Base, Max time.Duration
}

// Wait returns how long to wait after the given attempt, counted from 1.
func (b Backoff) Wait(attempt int) time.Duration {
	wait := b.Max
	if shift := attempt - 1; shift < 20 && b.Base<<shift < b.Max {
		wait = b.Base << shift
	}
	return wait - time.Duration(rand.Float64()*float64(wait)/4)
}

// Sleep waits or returns ctx's error, whichever comes first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Budget bounds how many retries all calls of a client make together, so that a family in trouble is not buried under
// repeats: each retry takes from it, each success gives a little back.
type Budget struct {
	mu       sync.Mutex
	left     int
	capacity int
	cost     int
}

// NewBudget returns a full budget; a retry costs cost and a success returns 1.
func NewBudget(capacity, cost int) *Budget {
	return &Budget{left: capacity, capacity: capacity, cost: cost}
}

// Take pays for one retry; false means that no retry is affordable now.
func (b *Budget) Take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < b.cost {
		return false
	}
	b.left -= b.cost
	return true
}

// Refund is called for each success.
func (b *Budget) Refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+1, b.capacity)
}

// RetryAfter reads the Retry-After header (RFC 9110, section 10.2.3), in seconds or as a date.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// NotSent reports whether err says that no connection was made, so that nothing of the request reached anybody.
func NotSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
