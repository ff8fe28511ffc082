package upstream

import (
	"sync"
	"time"
)

const (
	breakAfter = 10          // requests without an answer in time, and no answer between them
	breakTook  = time.Second // what a request must have waited to count as that
	breakFor   = time.Second // the first time; twice as long each time after it
	breakMost  = 30 * time.Second
)

// breaker leaves a service alone that takes requests and does not answer them: each would hold its place for the whole of its time. Other
// faults cost nothing to find out again, and the targets' health and ejection deal with them.
type breaker struct {
	told func(open bool, pause time.Duration)

	mu     sync.Mutex
	late   int           // requests without an answer in time
	pause  time.Duration // of the opening before; 0: closed
	until  time.Time     // requests are refused
	probes bool          // one request finds out whether the service answers again
}

// admit reports whether a request may go on. Where the breaker was open, one may, and others when it has ended. One that is no probe, because its
// sender decides how long it takes, keeps nobody waiting.
func (b *breaker) admit(now time.Time, probe bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return true
	}
	if now.Before(b.until) || b.probes {
		return false
	}
	b.probes = probe
	return true
}

// answered tells that the service has answered.
func (b *breaker) answered() {
	b.mu.Lock()
	closes := b.pause > 0
	b.late, b.pause, b.probes = 0, 0, false
	b.mu.Unlock()
	if closes {
		b.told(false, 0)
	}
}

// timedOut tells that a request got no answer in the time that it had.
func (b *breaker) timedOut(now time.Time) {
	b.mu.Lock()
	b.late++
	opens := b.late >= breakAfter && (b.pause == 0 || b.probes)
	if opens {
		b.pause = min(max(breakFor, 2*b.pause), breakMost)
		b.until = now.Add(b.pause)
	}
	b.probes = false
	pause := b.pause
	b.mu.Unlock()
	if opens {
		b.told(true, pause)
	}
}

// ended tells that a request has shown nothing: its client left, or it broke.
func (b *breaker) ended() {
	b.mu.Lock()
	b.probes = false
	b.mu.Unlock()
}

func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause > 0
}
