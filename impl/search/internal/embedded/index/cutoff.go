package index

import (
	"errors"
	"runtime"
	"time"
)

// giveWay lets other goroutines have the processor and returns the context's error. Searches keep all processors busy; without this each step of a request beside them,
// such as reading from its connection, waits until the runtime takes a processor away from one, which is up to 10 ms.
func (s *search) giveWay() error {
	s.steps++
	return s.look(s.steps > 1) // the first step is done in any case: an answer is not empty for want of time alone
}

// look gives way, and ends the search at the cutoff if it may be cut already. It says so once: what has been found by then is made an answer of.
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

// errCut says that the plan's Cutoff has come.
var errCut = errors.New("the time of the search is over")
