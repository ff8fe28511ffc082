package writer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	database "github.com/fountainai/fountain/internal/store"
)

// places limits how many large changes are made at a time, in all and for each owner. Owners with waiting callers take turns; the callers of one owner wait in a line. It is safe for concurrent use.
type places struct {
	mu    sync.Mutex
	free  int
	each  int                        // places that one owner holds at most
	held  map[string]int             // places held, by owner; no value is 0
	lines map[string][]chan struct{} // waiting callers, by owner; no line is empty
	turns []string                   // owners with a line, in the order of their turns
}

func newPlaces(n, each int) *places {
	return &places{free: n, each: each, held: map[string]int{}, lines: map[string][]chan struct{}{}}
}

// enter takes a place, and waits for one where necessary; leave gives it back. Error: database.ErrUnavailable when none is free within wait, or the error of ctx.
func (p *places) enter(ctx context.Context, owner string, wait time.Duration) error {
	called, waits := p.ask(owner)
	if !waits {
		return nil
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	var err error
	select {
	case <-called:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-over.C:
		err = fmt.Errorf("%w: too many large changes wait", database.ErrUnavailable)
	}
	if !p.giveUp(owner, called) {
		p.leave(owner) // it got a place at the same moment
	}
	return err
}

// ask takes a place. If there is none it adds the caller to the owner's line and returns true, with the channel that is closed when the caller gets a place.
func (p *places) ask(owner string) (called chan struct{}, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mayTake(owner) {
		p.take(owner)
		return nil, false
	}
	called = make(chan struct{})
	if len(p.lines[owner]) == 0 {
		p.turns = append(p.turns, owner)
	}
	p.lines[owner] = append(p.lines[owner], called)
	return called, true
}

// giveUp removes a caller from the owner's line. It returns false when the caller has a place already.
func (p *places) giveUp(owner string, called chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.Index(p.lines[owner], called)
	if at < 0 {
		return false
	}
	if p.lines[owner] = slices.Delete(p.lines[owner], at, at+1); len(p.lines[owner]) == 0 {
		delete(p.lines, owner)
		p.turns = slices.DeleteFunc(p.turns, func(name string) bool { return name == owner })
	}
	return true
}

// leave gives a place of the owner back. The place goes to the first in line of the next owner, in turn, who may have one more.
func (p *places) leave(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	if p.held[owner]--; p.held[owner] == 0 {
		delete(p.held, owner)
	}
	at := slices.IndexFunc(p.turns, p.mayTake)
	if at < 0 {
		return
	}
	next := p.turns[at]
	p.turns = slices.Delete(p.turns, at, at+1)
	p.take(next)
	line := p.lines[next]
	close(line[0])
	if len(line) == 1 {
		delete(p.lines, next)
		return
	}
	p.lines[next] = line[1:]
	p.turns = append(p.turns, next)
}

func (p *places) mayTake(owner string) bool { return p.free > 0 && p.held[owner] < p.each }

func (p *places) take(owner string) {
	p.free--
	p.held[owner]++
}
