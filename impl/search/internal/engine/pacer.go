package engine

import (
	"context"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/problem"
)

// How many bulk writes of a collection are at the engine at once: two at first, one more after 20 that went well, half as many after one for which
// the engine was behind. As many as 32 wait; a further one is overloaded.
const (
	firstWrites    = 2
	mostWrites     = 8
	goodWrites     = 20
	waitingWrites  = 32
	overloadedWait = 2 * time.Second
)

// pacer paces bulk writes, each collection by itself. The zero value is ready; it is safe for concurrent use.
type pacer struct {
	mu          sync.Mutex
	collections map[string]*pace
}

// pace is the state of one collection.
type pace struct {
	limit, busy, good int
	queue             []chan struct{} // closed when its owner may go on, the first first
}

// enter waits for room, and returns what must be called at the end, with whether the engine was behind. Problem: overloaded.
func (p *pacer) enter(ctx context.Context, collection string) (leave func(behind bool), err error) {
	p.mu.Lock()
	c := p.collections[collection]
	if c == nil {
		c = &pace{limit: firstWrites}
		if p.collections == nil {
			p.collections = map[string]*pace{}
		}
		p.collections[collection] = c
	}
	leave = func(behind bool) { p.leave(c, behind) }
	if c.busy < c.limit && len(c.queue) == 0 {
		c.busy++
		p.mu.Unlock()
		return leave, nil
	}
	if len(c.queue) >= waitingWrites {
		p.mu.Unlock()
		return nil, problem.New(problem.Overloaded, "The collection has as many writes waiting as it may have.").WithRetryAfter(overloadedWait)
	}
	turn := make(chan struct{})
	c.queue = append(c.queue, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return leave, nil
	case <-ctx.Done():
		p.give(c, turn)
		return nil, mapped(ctx.Err())
	}
}

// give takes a waiting write out of the queue, or passes its turn on when it has just come.
func (p *pacer) give(c *pace, turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, waiting := range c.queue {
		if waiting == turn {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			return
		}
	}
	c.busy--
	c.next()
}

func (p *pacer) leave(c *pace, behind bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.busy--
	if behind {
		c.limit, c.good = max(1, c.limit/2), 0
	} else if c.good++; c.good >= goodWrites {
		c.limit, c.good = min(mostWrites, c.limit+1), 0
	}
	c.next()
}

// next lets waiting writes go on where there is room.
func (c *pace) next() {
	for c.busy < c.limit && len(c.queue) > 0 {
		close(c.queue[0])
		c.queue = c.queue[1:]
		c.busy++
	}
}

// drop forgets a collection that is deleted; writes that are under way end with what they have.
func (p *pacer) drop(collection string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.collections, collection)
}
