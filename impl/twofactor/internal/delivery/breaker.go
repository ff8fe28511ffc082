package delivery

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

const (
	breakAfter = 5               // failures in a row
	breakFor   = 5 * time.Second // the first time; twice as long each time after it
	breakMost  = time.Minute
)

// breaker stops the use of a provider that has failed several times in a row. After a pause one message, the probe, tests whether it works again.
type breaker struct {
	clock clock.Clock

	mu     sync.Mutex
	failed int
	pause  time.Duration // 0: closed
	until  time.Duration // by clock.Elapsed
	probes bool
}

// admit reports whether a message may be tried, and whether it is the probe.
func (b *breaker) admit() (admitted, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return true, false
	}
	if b.probes || clock.Elapsed(b.clock) < b.until {
		return false, false
	}
	b.probes = true
	return true, true
}

// open reports whether a message would be refused now.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause > 0 && (b.probes || clock.Elapsed(b.clock) < b.until)
}

// settle records the outcome of an admitted message. Many are under way at once when a provider begins to fail. Those that fail after the pause has begun do not make
// it longer.
func (b *breaker) settle(probe, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probes = false
	}
	switch {
	case ok:
		b.failed, b.pause = 0, 0
		return
	case b.pause == 0:
		if b.failed++; b.failed < breakAfter {
			return
		}
	case !probe:
		return
	}
	b.pause = min(max(breakFor, 2*b.pause), breakMost)
	b.until = clock.Elapsed(b.clock) + b.pause
}
