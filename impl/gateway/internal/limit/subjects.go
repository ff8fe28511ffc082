package limit

import (
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// subjects counts the running requests of one operation by subject. Subjects without a running request are not in the map. The zero value is ready to use.
type subjects struct {
	mu      sync.Mutex
	running map[string]int
}

// take counts a request of a subject; false if the subject already has most running.
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

// give ends a request of a subject.
func (s *subjects) give(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[subject]--; s.running[subject] == 0 {
		delete(s.running, subject)
	}
}

// ofSubject limits the caller's concurrent requests of the operation, across all of their tokens, sessions and keys. Public operations have no caller and no
// such limit.
func (s *Steps) ofSubject(x *httpserver.Exchange) error {
	most := x.Operation.Policy.PerSubject
	if most == 0 || x.Principal == nil {
		return nil
	}
	all, subject := &s.flight(x.Operation).subjects, x.Principal.Subject
	if !all.take(subject, most) {
		return problem.New(problem.ConcurrencyLimited, fmt.Sprintf("The caller has %d requests of this operation in progress, the most allowed.", most)).WithRetryAfter(time.Second)
	}
	x.HoldOwn(func() { all.give(subject) })
	return nil
}
