package index

import (
	"errors"
	"runtime"
	"time"
)

// giveWay yields the processor and returns the context's error. Searches keep all processors busy. Without yielding, each step of a
// concurrent request, such as reading from its connection, waits until the runtime preempts a search, which takes up to 10 ms.
func (s *search) giveWay() error {
	s.steps++
	return s.look(s.steps > 1) // the first step is always done, so that lack of time alone does not give an empty answer
}

// look yields, and returns errCut once when the cutoff has passed, if begun. What has been found until then becomes the answer.
func (s *search) look(begun bool) error {
	runtime.Gosched()
	if err := s.ctx.Err(); err != nil || s.plan.Cutoff.IsZero() || s.cut {
		return err
	}
	if begun && time.Now().After(s.plan.Cutoff) {
		s.cut = true
		return errCut
	}
	return nil
}

// errCut reports that the plan's Cutoff has passed.
var errCut = errors.New("the search took too long")
