package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	breakAfter = 10          // consecutive requests of an operation without an answer in time
	breakTook  = time.Second // the least time that such a request must have waited
	breakFor   = time.Second // first pause; each following one is twice as long
	breakMost  = 30 * time.Second
	maxSilent  = 1024 // operations per service that are watched at a time
)

// breakers stop sending requests of an operation to a service that accepts them but does not answer: each would hold its place until its timeout. Every
// operation has its own breaker, so that one that hangs does not affect the others. Other failures are cheap to detect again, and are handled by the
// targets' health and ejection.
type breakers struct {
	told func(operation string, open bool, pause time.Duration)

	watched atomic.Int64 // len(silent); usually 0, and then the lock is not needed
	mu      sync.Mutex
	silent  map[string]*breaker // operations with unanswered requests since their last answer
}

// breaker is the state of one operation.
type breaker struct {
	late   int           // requests not answered in time
	pause  time.Duration // the current pause; 0: the breaker is closed
	until  time.Time     // end of the pause
	probes bool          // a probe is running
}

// admit reports whether a request may be sent. When an open breaker's pause is over, one probe may be sent, and others after it has ended. A request that is
// no probe, because its sender determines how long it takes, does not make others wait.
func (b *breakers) admit(operation string, now time.Time, probe bool) bool {
	if b.watched.Load() == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.silent[operation]
	if of == nil || of.pause == 0 {
		return true
	}
	if now.Before(of.until) || of.probes {
		return false
	}
	of.probes = probe
	return true
}

// answered records that the service has answered a request of the operation.
func (b *breakers) answered(operation string) {
	if b.watched.Load() == 0 {
		return
	}
	b.mu.Lock()
	of := b.silent[operation]
	delete(b.silent, operation)
	b.watched.Store(int64(len(b.silent)))
	b.mu.Unlock()
	if of != nil && of.pause > 0 {
		b.told(operation, false, 0)
	}
}

// timedOut records that a request was not answered in its time.
func (b *breakers) timedOut(operation string, now time.Time) {
	b.mu.Lock()
	of := b.silent[operation]
	if of == nil {
		if len(b.silent) >= maxSilent {
			b.mu.Unlock()
			return
		}
		if of = new(breaker); b.silent == nil {
			b.silent = map[string]*breaker{}
		}
		b.silent[operation] = of
		b.watched.Store(int64(len(b.silent)))
	}
	of.late++
	opens := of.late >= breakAfter && (of.pause == 0 || of.probes)
	if opens {
		of.pause = min(max(breakFor, 2*of.pause), breakMost)
		of.until = now.Add(of.pause)
	}
	of.probes = false
	pause := of.pause
	b.mu.Unlock()
	if opens {
		b.told(operation, true, pause)
	}
}

// ended records that a request ended without evidence, because its client disconnected or its connection broke.
func (b *breakers) ended(operation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if of := b.silent[operation]; of != nil {
		of.probes = false
	}
}

// open returns the number of operations whose breaker is open.
func (b *breakers) open() (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range b.silent {
		if of.pause > 0 {
			n++
		}
	}
	return n
}
