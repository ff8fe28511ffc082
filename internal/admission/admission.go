// Package admission protects work that needs a processor from overload: it admits as much at once as can be worked on, lets a little more wait, and
// refuses the rest at once. Admitted work takes about as long as it takes alone; without admission all of it would be begun and none finished.
package admission

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy means that so much work is waiting that a new piece would finish too late.
var ErrBusy = errors.New("too much work at once")

const (
	// leastWait is the expected wait that is always accepted: a burst of short work is soon done.
	leastWait = 10 * time.Millisecond
	// patience is the maximum expected wait as a multiple of the work's duration: work then finishes within 1.5 times its duration, and within three
	// times where clients and refusals use the same processors.
	patience = 0.5
	// weight is the weight of the latest duration in the moving average.
	weight = 0.1
)

// Gate admits work. It is safe for concurrent use.
type Gate struct {
	slots int
	now   func() time.Time

	mu      sync.Mutex
	working int
	waiting []chan struct{} // in order of arrival; closed when admitted
	back    []chan struct{} // work that gave its slot up between two of its parts
	turned  bool            // the last slot went to work in back
	average float64         // of the work's duration in seconds
}

// New returns a Gate with this number of slots.
func New(slots int) *Gate { return &Gate{slots: max(slots, 1), now: time.Now} }

// Enter waits for a slot. It returns ErrBusy at once when too much is waiting, or the context's error when that ends first. leave ends the work and
// must be called once.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	turn, err := g.arrive()
	if err != nil {
		return nil, err
	}
	return g.await(ctx, turn)
}

// await waits for turn, if it is not nil, and begins the work.
func (g *Gate) await(ctx context.Context, turn chan struct{}) (leave func(), err error) {
	if turn != nil {
		select {
		case <-turn:
		case <-ctx.Done():
			if g.abandon(turn) {
				return nil, context.Cause(ctx)
			}
		}
	}
	return g.work(), nil
}

// work begins the work and returns the function that ends it.
func (g *Gate) work() (leave func()) {
	began := g.now()
	return func() { g.leave(g.now().Sub(began)) }
}

// EnterAgain is Enter for the next part of work that was admitted and has left since to yield. It is never refused, and does not starve new work:
// while both wait, they get alternate slots.
func (g *Gate) EnterAgain(ctx context.Context) (leave func(), err error) {
	g.mu.Lock()
	if g.working < g.slots {
		g.working++
		g.mu.Unlock()
		return g.work(), nil
	}
	turn := make(chan struct{})
	g.back = append(g.back, turn)
	g.mu.Unlock()
	return g.await(ctx, turn)
}

// arrive takes a slot, or a place in the queue: turn is closed when a slot is passed on.
func (g *Gate) arrive() (turn chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.working < g.slots {
		g.working++
		return nil, nil
	}
	expected := float64(len(g.waiting)+1) / float64(g.slots) * g.average
	if len(g.waiting) > 0 && expected > max(leastWait.Seconds(), patience*g.average) { // one may always wait: on a single processor nothing could be admitted otherwise
		return nil, ErrBusy
	}
	turn = make(chan struct{})
	g.waiting = append(g.waiting, turn)
	return turn, nil
}

// abandon removes a waiter from the queue. It returns false when it was admitted meanwhile.
func (g *Gate) abandon(turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, queue := range []*[]chan struct{}{&g.waiting, &g.back} {
		if i := slices.Index(*queue, turn); i >= 0 {
			*queue = slices.Delete(*queue, i, i+1)
			return true
		}
	}
	return false
}

// leave passes the slot on.
func (g *Gate) leave(took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.average == 0 {
		g.average = took.Seconds()
	} else {
		g.average += weight * (took.Seconds() - g.average)
	}
	queue := &g.waiting
	if g.turned = len(g.back) > 0 && (len(g.waiting) == 0 || !g.turned); g.turned {
		queue = &g.back
	}
	if len(*queue) == 0 {
		g.working--
		return
	}
	next := (*queue)[0]
	*queue = (*queue)[1:]
	close(next)
}
