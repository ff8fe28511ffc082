package writer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	database "github.com/fountainai/fountain/internal/store"
)

// places are those of large changes, of which few are there at once, and fewer of one owner. Who waits for one takes turns by owner, and stands in a line with others of the same owner. It is safe for concurrent use.
type places struct {
	mu    sync.Mutex
	free  int
	each  int                        // that one owner has at most
	held  map[string]int             // by owner; none is 0
	lines map[string][]chan struct{} // of those who wait, by owner; none is empty
	turns []string                   // owners with a line, in the order of their turns
}

func newPlaces(n, each int) *places {
	return &places{free: n, each: each, held: map[string]int{}, lines: map[string][]chan struct{}{}}
}

// enter waits for a place, which leave gives back. Error: database.ErrUnavailable when the wait is over, or that of ctx.
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
		p.leave(owner) // it was called at the same moment
	}
	return err
}

// ask takes a place, or stands in the owner's line.
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

// giveUp leaves the line; false: it was called already, and has a place.
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

// leave gives the owner's place back, and to the first of an owner who may have one.
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
