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

// lanes has the requests that wait for rows that another transaction holds. The requests of one lane share transactions. These run beside the usual
// transactions, so that no request waits for a row that it does not need.
type lanes[Req, Res any] struct {
	mu      sync.Mutex
	waiting map[string][]*waiting[Req, Res] // by name; each lane in the map has a goroutine
	parked  atomic.Int64                    // requests in all lanes that are not answered yet
	running sync.WaitGroup
	open    chan struct{} // has one element for each running transaction
}

func (l *lanes[Req, Res]) init(size int) {
	l.waiting, l.open = map[string][]*waiting[Req, Res]{}, make(chan struct{}, size)
}

// patient is the context key of a transaction that may wait for rows.
type patient struct{}

// MayWait returns how long apply may wait for rows that another transaction holds. With 0 it must not wait, and returns a lane for the request
// instead. A transaction whose waits together take longer is rolled back.
func MayWait(ctx context.Context) time.Duration {
	wait, _ := ctx.Value(patient{}).(time.Duration)
	return wait
}

// Parked returns how many requests wait in lanes, for metrics.
func (c *Committer[Req, Res]) Parked() int { return int(c.lanes.parked.Load()) }

// park puts a request into a lane, and starts the lane if it does not exist.
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

// drive applies the requests of a lane until it is empty.
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

// nextOf takes a batch out of a lane. It deletes an empty lane and returns nil.
func (c *Committer[Req, Res]) nextOf(name string) []*waiting[Req, Res] {
	l := &c.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[name]
	if len(queue) == 0 {
		delete(l.waiting, name)
		return nil
	}
	n := 1
	for n < len(queue) && c.holdsMore(queue[:n]) {
		n++
	}
	l.waiting[name] = queue[n:]
	return queue[:n:n]
}

// giveBack puts requests back at the front of their lane.
func (c *Committer[Req, Res]) giveBack(name string, batch []*waiting[Req, Res]) {
	l := &c.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[name] = append(batch, l.waiting[name]...)
}

// refuseLate refuses the requests whose wait has ended and returns the others.
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

// remaining returns how long the batch can still wait: until the first wait of its requests ends, and at most Options.Timeout.
func (c *Committer[Req, Res]) remaining(batch []*waiting[Req, Res]) time.Duration {
	remaining := c.o.Timeout
	for _, w := range batch {
		if !w.until.IsZero() {
			remaining = min(remaining, time.Until(w.until))
		}
	}
	return max(remaining, time.Millisecond)
}

// wait applies a batch of a lane in a transaction that waits for held rows, for as long as the request whose wait ends first.
func (c *Committer[Req, Res]) wait(name string, batch []*waiting[Req, Res]) {
	place := time.NewTimer(c.remaining(batch))
	defer place.Stop()
	select {
	case c.lanes.open <- struct{}{}:
	case <-place.C:
		c.giveBack(name, batch)
		return
	}
	defer func() { <-c.lanes.open }()
	results, err := c.transactPatiently(batch)
	if tooLate(err) && c.o.Wait > 0 { // rolled back; requests with time left wait further
		c.giveBack(name, batch)
		return
	}
	c.o.Observe(len(batch))
	if err != nil && len(batch) > 1 && rolledBack(err) {
		c.waitSingly(batch)
		return
	}
	c.leave(batch, results, err)
}

// waitSingly applies requests of a lane one by one, so that only the failing one gets the error. Each still waits no longer than its own limit.
func (c *Committer[Req, Res]) waitSingly(batch []*waiting[Req, Res]) {
	for _, w := range batch {
		one := c.refuseLate([]*waiting[Req, Res]{w})
		if len(one) == 0 {
			continue
		}
		results, err := c.transactPatiently(one)
		if tooLate(err) {
			err = errWaited
		}
		c.leave(one, results, err)
	}
}

// tooLate reports whether a patient transaction was rolled back because a row was held for too long.
func tooLate(err error) bool { return errors.Is(err, store.ErrHeld) || errors.Is(err, errWaited) }

// errInLane is the error for an apply that returns a lane in a transaction that may wait: the request would be moved between lanes for ever.
var errInLane = errors.New("apply named a lane in a lane")

// leave answers requests of a lane.
func (c *Committer[Req, Res]) leave(batch []*waiting[Req, Res], results []Result[Res], err error) {
	c.lanes.parked.Add(-int64(len(batch)))
	for i, w := range batch {
		switch {
		case err != nil:
			w.answer <- Result[Res]{Err: err}
		case results[i].Lane != "" && results[i].Err == nil:
			w.answer <- Result[Res]{Err: errInLane}
		default:
			w.answer <- results[i]
		}
	}
}

// grace is how much longer a patient transaction may take than its requests can wait. Without it, a transaction that gets its locks late would be
// rolled back half done, and so would each one behind it.
const grace = time.Second

// transactPatiently applies a batch of a lane. All waits of the transaction together may take remaining, and grace. After that it returns errWaited,
// and nothing was committed. A commit that has begun is not cancelled by this limit, as its outcome would be unknown.
func (c *Committer[Req, Res]) transactPatiently(batch []*waiting[Req, Res]) ([]Result[Res], error) {
	remaining := c.remaining(batch)
	over := time.Now().Add(remaining + grace)
	ctx, cancel := context.WithCancelCause(tracing.Follow(context.Background(), batch[0].asked))
	defer cancel(nil)
	ctx, end := c.bounded(context.WithValue(ctx, patient{}, remaining))
	defer end()
	bound := time.AfterFunc(remaining+grace, func() { cancel(errWaited) })
	defer bound.Stop()
	results, err := c.transactWithin(ctx, func(tx *store.Tx) []*waiting[Req, Res] {
		bound.Reset(time.Until(over)) // a transaction that conflicted in its commit is tried again
		tx.AtEnd(store.LastCommit, func(context.Context) error {
			if !bound.Stop() {
				return errWaited
			}
			return nil
		})
		return batch
	})
	if err != nil && errors.Is(context.Cause(ctx), errWaited) { // cancelled before its commit began
		return nil, errWaited
	}
	return results, err
}
