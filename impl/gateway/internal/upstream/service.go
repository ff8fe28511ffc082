package upstream

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Service is one service with its targets.
type Service struct {
	word     string
	log      *slog.Logger
	targets  []*Target
	dial     Dial
	usable   atomic.Pointer[[]*Target] // targets that get requests now
	breakers breakers
	budget   budget
	counts   counts

	mu    sync.Mutex
	since time.Time     // when the last usable target was lost; zero: there is one
	back  chan struct{} // closed when there is a usable target again
}

func newService(word string, urls []*url.URL, config *tls.Config, dial Dial, log *slog.Logger) *Service {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext
	}
	s := &Service{word: word, log: log, dial: dial, back: make(chan struct{})}
	s.breakers.told = s.logBreaker
	s.budget.tenths.Store(budgetMost)
	for _, u := range urls {
		s.targets = append(s.targets, newTarget(s, u, config))
	}
	all := s.targets
	s.usable.Store(&all)
	return s
}

// retire closes the idle connections; the others are closed after their requests. A nil service is allowed.
func (s *Service) retire() {
	if s == nil {
		return
	}
	for _, t := range s.targets {
		t.retired.Store(true)
		t.pool.sweep(0)
	}
}

// Targets returns all targets.
func (s *Service) Targets() []*Target { return s.targets }

// Health returns the best state of the targets, and the number of ready targets.
func (s *Service) Health() (best Health, ready int) {
	best = Down
	for _, t := range s.targets {
		switch t.health() {
		case Ready:
			best = Ready
			ready++
		case Starting:
			if best == Down {
				best = Starting
			}
		}
	}
	return best, ready
}

// changed applies the new state of a target.
func (s *Service) changed(t *Target, before, now Health) {
	level := slog.LevelInfo
	if before == Ready {
		level = slog.LevelWarn
	}
	if before != now {
		s.log.Log(context.Background(), level, "target is "+now.String(), "upstream", s.word, "target", t.address, "was", before.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
}

// refresh computes which targets get requests, and releases waiting requests if there is one. The caller holds mu.
func (s *Service) refresh() {
	usable := s.those(func(t *Target) bool { return t.health().serves() && !t.ejected })
	if len(usable) == 0 { // an ejected target is better than none
		usable = s.those(func(t *Target) bool { return t.health().serves() })
	}
	if len(usable) == 0 { // the only instance serves until it has drained
		usable = s.those(func(t *Target) bool { return t.fading.Load() })
	}
	s.usable.Store(&usable)
	switch {
	case len(usable) == 0 && s.since.IsZero():
		s.since = time.Now()
	case len(usable) > 0 && !s.since.IsZero():
		s.since = time.Time{}
		close(s.back)
		s.back = make(chan struct{})
	}
}

func (s *Service) those(which func(*Target) bool) []*Target {
	out := make([]*Target, 0, len(s.targets))
	for _, t := range s.targets {
		if which(t) {
			out = append(out, t)
		}
	}
	return out
}

// eject temporarily excludes a target that fails repeatedly. At most half of the targets are excluded at a time, and never the last usable
// one.
func (s *Service) eject(t *Target, pause time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := 1
	for _, other := range s.targets {
		if other.ejected {
			out++
		}
	}
	if t.ejected || 2*out > len(s.targets) || len(*s.usable.Load()) < 2 {
		return false
	}
	t.ejected = true
	s.counts.ejections.Add(1)
	s.log.Warn("target is ejected", "upstream", s.word, "target", t.address, "seconds", pause.Seconds())
	s.refresh()
	time.AfterFunc(pause, func() { s.admit(t) })
	return true
}

// admit ends the ejection of a target.
func (s *Service) admit(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.ejected = false
	t.failed.Store(0)
	s.log.Info("target is no longer ejected", "upstream", s.word, "target", t.address)
	s.refresh()
}

// pick returns the less busy one of two random usable targets, and if possible another one than not; nil when there is none.
func (s *Service) pick(not *Target) *Target {
	usable := *s.usable.Load()
	switch len(usable) {
	case 0:
		return nil
	case 1:
		return usable[0]
	}
	i, j := rand.IntN(len(usable)), rand.IntN(len(usable)-1)
	if j >= i {
		j++
	}
	a, b := usable[i], usable[j]
	if a == not || b != not && b.pending.Load() < a.pending.Load() {
		return b
	}
	return a
}

// starting returns a target that answers but is not ready, or nil.
func (s *Service) starting() *Target {
	for _, t := range s.targets {
		if t.health() == Starting {
			return t
		}
	}
	return nil
}

// Available reports whether a target gets requests now.
func (s *Service) Available() bool { return len(*s.usable.Load()) > 0 }

// Wait waits until a target gets requests. It returns ErrUnavailable when the service has had none for longer than Patience, or when too many requests are
// already waiting, and otherwise the error of ctx.
func (s *Service) Wait(ctx context.Context) error {
	s.mu.Lock()
	if s.since.IsZero() {
		s.mu.Unlock()
		return nil
	}
	back, left := s.back, Patience-time.Since(s.since)
	s.mu.Unlock()
	if left <= 0 {
		return ErrUnavailable
	}
	if s.counts.waiting.Add(1) > maxWaiting {
		s.counts.waiting.Add(-1)
		return ErrUnavailable
	}
	defer s.counts.waiting.Add(-1)
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-back:
		return nil
	case <-timer.C:
		return ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) logBreaker(operation string, open bool, pause time.Duration) {
	if open {
		s.log.Warn("operation does not answer in time: its circuit is open", "upstream", s.word, "operationId", operation, "seconds", pause.Seconds())
		return
	}
	s.log.Info("operation answers again", "upstream", s.word, "operationId", operation)
}
