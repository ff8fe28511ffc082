package limit

import (
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// subjects counts the requests of one operation that run now by whose they are. Whoever has none is not in it. The zero value is ready.
type subjects struct {
	mu      sync.Mutex
	running map[string]int
}

// take takes one of a subject's places; false: it has most of them already.
func (s *subjects) take(subject string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[subject] >= most {
		return false
	}
	if s.running == nil {
		s.running = map[string]int{}
	}
	s.running[subject]++
	return true
}

// give gives it back.
func (s *subjects) give(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[subject]--; s.running[subject] == 0 {
		delete(s.running, subject)
	}
}

// ofSubject takes one of the places that the caller has of the operation, whichever of its tokens, sessions and keys it comes with. A public operation has no caller.
func (s *Steps) ofSubject(x *httpserver.Exchange) error {
	most := x.Operation.Policy.PerSubject
	if most == 0 || x.Principal == nil {
		return nil
	}
	all, subject := &s.flight(x.Operation).subjects, x.Principal.Subject
	if !all.take(subject, most) {
		return problem.New(problem.ConcurrencyLimited, fmt.Sprintf("The caller has %d requests of this operation under way, and may have no more.", most)).WithRetryAfter(time.Second)
	}
	x.HoldOwn(func() { all.give(subject) })
	return nil
}
