// Package admission keeps work that needs a processor from drowning: it lets in as much at once as can be worked on, lets a little more wait, and
// refuses the rest at once. What is let in is done in about the time that it takes alone; without this all would be begun and none finished.
package admission

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy says that so much waits already that a newcomer would be done too late.
var ErrBusy = errors.New("too much work at once")

const (
	// leastWait is how long work may be expected to wait where it is short: a burst of it is soon done.
	leastWait = 10 * time.Millisecond
	// patience is how many times its own duration work may be expected to wait: with its own it is then done within 1.5 times that, and within three times where
	// clients and refusals take their share of the same processors.
	patience = 0.5
	// weight is that of the latest duration in the average.
	weight = 0.1
)

// Gate lets work in. It is safe for concurrent use.
type Gate struct {
	slots int
	now   func() time.Time

	mu      sync.Mutex
	working int
	waiting []chan struct{} // newcomers in their order; closed when it is their turn
	back    []chan struct{} // those who gave their slot up between two parts of their work
	turned  bool            // the last slot went to one of back
	average float64         // duration of the work in seconds
}

// New returns a Gate for work of which so many run at once.
func New(slots int) *Gate { return &Gate{slots: max(slots, 1), now: time.Now} }

// Enter waits for its turn, or returns ErrBusy at once, or the context's error when that ends first. leave ends the work and must be called once.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	turn, err := g.arrive()
	if err != nil {
		return nil, err
	}
	return g.await(ctx, turn)
}

// await waits for the turn, which has come where it is nil, and begins the work.
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

// work begins and returns what ends it.
func (g *Gate) work() (leave func()) {
	began := g.now()
	return func() { g.leave(g.now().Sub(began)) }
}

// EnterAgain is Enter for the next part of work that was let in, and has left since to give way. It is not refused, and newcomers do not wait for
// it longer: while both wait, every other slot is theirs.
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

// arrive takes a slot, or a place among those who wait: a channel that is closed when a slot is passed on.
func (g *Gate) arrive() (turn chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.working < g.slots {
		g.working++
		return nil, nil
	}
	expected := float64(len(g.waiting)+1) / float64(g.slots) * g.average
	if len(g.waiting) > 0 && expected > max(leastWait.Seconds(), patience*g.average) { // one may wait always: on one processor nobody could otherwise
		return nil, ErrBusy
	}
	turn = make(chan struct{})
	g.waiting = append(g.waiting, turn)
	return turn, nil
}

// abandon gives a place up; it reports false when the turn has come meanwhile.
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
