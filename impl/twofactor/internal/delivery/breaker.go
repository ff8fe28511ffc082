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

// breaker leaves a provider alone that has failed several times in a row. After a pause one message finds out whether it works again.
type breaker struct {
	clock clock.Clock

	mu     sync.Mutex
	failed int
	pause  time.Duration // 0: closed
	until  time.Duration // by clock.Elapsed
	probes bool
}

// admit reports whether a message may be tried.
func (b *breaker) admit() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return true
	}
	if b.probes || clock.Elapsed(b.clock) < b.until {
		return false
	}
	b.probes = true
	return true
}

// open reports whether a message would be refused now.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause > 0 && (b.probes || clock.Elapsed(b.clock) < b.until)
}

// settle tells what became of an admitted message.
func (b *breaker) settle(ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probes = false
	if ok {
		b.failed, b.pause = 0, 0
		return
	}
	b.failed++
	if b.failed >= breakAfter {
		b.pause = min(max(breakFor, 2*b.pause), breakMost)
		b.until = clock.Elapsed(b.clock) + b.pause
	}
}
