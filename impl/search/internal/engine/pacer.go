package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/problem"
)

// firstWrites is how many bulk writes of a collection run at once at first. After goodWrites successful writes one more is allowed, up to
// mostWrites. After a write that the engine did not keep up with, half as many are allowed. Up to waitingWrites writes wait, each for up to
// waitingLimit. Further writes are refused, with an estimate of when there will be room, between leastWait and longestWait.
const (
	firstWrites   = 2
	mostWrites    = 8
	goodWrites    = 20
	waitingWrites = 32
	waitingLimit  = 10 * time.Second
	leastWait     = time.Second
	longestWait   = time.Minute
)

// errFull reports that a write was not started.
var errFull = errors.New("as many writes wait as may")

// pacer limits the bulk writes of each collection. The zero value is ready to use. It is safe for concurrent use.
type pacer struct {
	limit       time.Duration // of a wait; 0 means waitingLimit
	mu          sync.Mutex
	collections map[string]*pace
}

// pace is the state of one collection.
type pace struct {
	limit, busy, good int
	queue             []chan struct{} // each is closed when its owner may continue; in order
	takes             time.Duration   // average duration of recent writes
}

// enter waits for room. The caller calls leave at the end of the write, with whether the engine was behind. Problem: concurrency_limited,
// which concerns this collection only and not the state of the engine.
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
	began := time.Now()
	leave = func(behind bool) { p.leave(c, behind, time.Since(began)) }
	if c.busy < c.limit && len(c.queue) == 0 {
		c.busy++
		p.mu.Unlock()
		return leave, nil
	}
	if len(c.queue) >= waitingWrites {
		wait := c.wait()
		p.mu.Unlock()
		return nil, full(wait)
	}
	turn := make(chan struct{})
	c.queue = append(c.queue, turn)
	p.mu.Unlock()
	limit := time.NewTimer(p.patience())
	defer limit.Stop()
	select {
	case <-turn:
		began = time.Now()
		return leave, nil
	case <-limit.C:
		p.give(c, turn)
		p.mu.Lock()
		defer p.mu.Unlock()
		return nil, full(c.wait())
	case <-ctx.Done():
		p.give(c, turn)
		return nil, mapped(ctx.Err())
	}
}

func full(wait time.Duration) error {
	return problem.New(problem.ConcurrencyLimited, "Too many writes of the collection are waiting.").WithRetryAfter(wait).Wrap(errFull)
}

// wait estimates how long the writes that are now waiting will take.
func (c *pace) wait() time.Duration {
	return min(max(c.takes*time.Duration(len(c.queue)+c.busy)/time.Duration(c.limit), leastWait), longestWait).Round(time.Second)
}

func (p *pacer) patience() time.Duration {
	if p.limit > 0 {
		return p.limit
	}
	return waitingLimit
}

// give removes a waiting write from the queue. If its turn has just come, the turn is passed on.
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

func (p *pacer) leave(c *pace, behind bool, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.busy--
	if c.takes == 0 {
		c.takes = took
	}
	c.takes += (took - c.takes) / 8 // recent writes have the most weight
	if behind {
		c.limit, c.good = max(1, c.limit/2), 0
	} else if c.good++; c.good >= goodWrites {
		c.limit, c.good = min(mostWrites, c.limit+1), 0
	}
	c.next()
}

// next starts waiting writes while there is room.
func (c *pace) next() {
	for c.busy < c.limit && len(c.queue) > 0 {
		close(c.queue[0])
		c.queue = c.queue[1:]
		c.busy++
	}
}

// drop deletes the state of a collection that is deleted. Writes that are under way keep their own reference to it.
func (p *pacer) drop(collection string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.collections, collection)
}
