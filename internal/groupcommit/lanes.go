package groupcommit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tracing"
)

// lanes are the requests that wait for what another transaction holds. Those of one lane share transactions, which wait beside the ones of
// everybody else, so that nobody waits behind a row that they don't need.
type lanes[Req, Res any] struct {
	mu      sync.Mutex
	waiting map[string][]*waiting[Req, Res] // a lane that is there has its goroutine
	parked  atomic.Int64                    // requests in all lanes that are not answered yet
	running sync.WaitGroup
	open    chan struct{} // a place for each transaction
}

func (l *lanes[Req, Res]) init(size int) {
	l.waiting, l.open = map[string][]*waiting[Req, Res]{}, make(chan struct{}, size)
}

// patient is the context key of a transaction that may wait.
type patient struct{}

// MayWait returns how long apply may wait for each lock that another transaction holds. 0: it must not wait, and puts the request into a lane.
func MayWait(ctx context.Context) time.Duration {
	wait, _ := ctx.Value(patient{}).(time.Duration)
	return wait
}

// Parked returns how many requests wait in lanes, for metrics.
func (c *Committer[Req, Res]) Parked() int { return int(c.lanes.parked.Load()) }

// park puts a request into a lane, and begins the lane where there is none.
func (c *Committer[Req, Res]) park(name string, w *waiting[Req, Res]) {
	l := &c.lanes
	if l.parked.Add(1) > int64(c.o.Queue) {
		l.parked.Add(-1)
		w.answer <- Result[Res]{Err: problem.New(problem.Overloaded, "Too many changes are waiting to be written.").WithRetryAfter(time.Second)}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, there := l.waiting[name]
	l.waiting[name] = append(queue, w)
	if !there {
		l.running.Go(func() { c.drive(name) })
	}
}

// drive applies what waits in a lane until it is empty.
func (c *Committer[Req, Res]) drive(name string) {
	for {
		batch := c.nextOf(name)
		if batch == nil {
			return
		}
		if batch = c.refuseLate(batch); len(batch) > 0 {
			c.wait(name, batch)
		}
	}
}

// nextOf takes a batch out of a lane. An empty lane ends.
func (c *Committer[Req, Res]) nextOf(name string) []*waiting[Req, Res] {
	l := &c.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[name]
	if len(queue) == 0 {
		delete(l.waiting, name)
		return nil
	}
	n := min(len(queue), c.o.MaxBatch)
	l.waiting[name] = queue[n:]
	return queue[:n:n]
}

// giveBack puts requests at the front of their lane again.
func (c *Committer[Req, Res]) giveBack(name string, batch []*waiting[Req, Res]) {
	l := &c.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[name] = append(batch, l.waiting[name]...)
}

// refuseLate answers those whose wait is over and returns the others.
func (c *Committer[Req, Res]) refuseLate(batch []*waiting[Req, Res]) (rest []*waiting[Req, Res]) {
	now := time.Now()
	for _, w := range batch {
		if !w.until.IsZero() && !now.Before(w.until) {
			c.lanes.parked.Add(-1)
			w.answer <- Result[Res]{Err: errWaited}
			continue
		}
		rest = append(rest, w)
	}
	return rest
}

// remaining is how long the first of the requests whose wait ends can still wait.
func (c *Committer[Req, Res]) remaining(batch []*waiting[Req, Res]) time.Duration {
	remaining := c.o.Timeout
	for _, w := range batch {
		if !w.until.IsZero() {
			remaining = min(remaining, time.Until(w.until))
		}
	}
	return max(remaining, time.Millisecond)
}

// wait applies a batch of a lane in a transaction that waits for what others hold, as long as the first of the requests can.
func (c *Committer[Req, Res]) wait(name string, batch []*waiting[Req, Res]) {
	remaining := c.remaining(batch)
	place := time.NewTimer(remaining)
	defer place.Stop()
	select {
	case c.lanes.open <- struct{}{}:
	case <-place.C:
		c.giveBack(name, batch)
		return
	}
	defer func() { <-c.lanes.open }()
	ctx := context.WithValue(tracing.Follow(context.Background(), batch[0].asked), patient{}, c.remaining(batch))
	results, err := c.transactWithin(ctx, func() []*waiting[Req, Res] { return batch })
	if errors.Is(err, store.ErrHeld) && c.o.Wait > 0 { // rolled back; those who have time left wait on
		c.giveBack(name, batch)
		return
	}
	c.o.Observe(len(batch))
	c.lanes.parked.Add(-int64(len(batch)))
	switch {
	case err == nil:
		for i, w := range batch {
			w.answer <- results[i]
		}
	default:
		c.settle(batch, nil, err)
	}
}
