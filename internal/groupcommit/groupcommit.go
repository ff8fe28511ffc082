// Package groupcommit lets many small durable writes share one transaction: a commit costs one wait for the disk however much
// it carries. On this design's machine that made 4,000 writes a second 40,000 on SQLite and 18,600 on PostgreSQL.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tracing"
)

// Options bound a Committer. Zero values take the defaults.
type Options struct {
	MaxBatch int            // requests in one transaction; default 512
	MaxLoad  int            // begins no further request into a transaction whose requests (Loaded) have so much work; default: no bound
	Company  time.Duration  // how long a commit waits, again and again up to 8 times, for one more of those whom the last one has answered; default 0: it does not wait
	Queue    int            // requests that may wait, of all owners (Shared); default 4096
	Timeout  time.Duration  // for one transaction; default 30 s
	Wait     time.Duration  // how long a request waits, from Do, before its commit begins or it is refused as unavailable (in a lane up to 1 s longer); default: as long as its context
	Lanes    int            // transactions of requests whose rows another transaction holds, at once and beside the others; default 4
	Observe  func(size int) // told the size of every batch, for metrics; may be nil
	Log      *slog.Logger   // gets the stack of a panic in apply; default slog.Default
}

func (o Options) withDefaults() Options {
	if o.MaxBatch <= 0 {
		o.MaxBatch = 512
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Lanes <= 0 {
		o.Lanes = 4
	}
	if o.Observe == nil {
		o.Observe = func(int) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Result is the outcome of one request of a batch.
type Result[Res any] struct {
	Value Res
	Err   error // fails this request alone; apply must have written nothing for it

	// Lane, when it is not empty, says that another transaction holds what the request needs; apply has written nothing for it.
	// The committer tries it again with the others of this lane, in a transaction beside those of everybody else. There apply may
	// wait (MayWait), and must not name a lane.
	Lane string
}

// Apply writes a batch in one transaction and returns one Result per request, in order. It may run again for the same requests:
// it must have no effect outside tx. An error rolls back and each request is tried in a transaction of its own, so that only the
// guilty one fails. With store.ErrHeld, where it may not wait, it can return a lane for each request: there they are tried again. The context is the committer's, not
// that of any request.
type Apply[Req, Res any] func(ctx context.Context, tx *store.Tx, batch []Req) ([]Result[Res], error)

// Loaded is a request that tells how much work it is, in a unit of the caller's. Others have a load of 1.
type Loaded interface{ Load() int }

// Committer collects requests and applies them in batches, one transaction each. It is safe for concurrent use.
type Committer[Req, Res any] struct {
	db    *store.DB
	o     Options
	apply Apply[Req, Res]
	queue *fair[*waiting[Req, Res]]
	idle  chan struct{} // closed when the queue is drained
	lanes lanes[Req, Res]

	timers sync.Pool // of *time.Timer, for await

	turn     sync.Mutex    // of the one who commits: the committer's goroutine, or a caller that met nobody
	met      atomic.Int32  // above 0: some callers met others lately
	expected int           // how many the last commit had, and waited behind it, until somebody has waited for them; of whoever has the turn
	wake     chan struct{} // holds one when something was put into the queue
	quorum   atomic.Int64  // how many must be in the queue before the committer is woken; 0: one

	closing sync.RWMutex // held for writing while wake is closed
	closed  bool
}

// New starts a Committer; Close ends it.
func New[Req, Res any](db *store.DB, o Options, apply func(ctx context.Context, tx *store.Tx, batch []Req) ([]Result[Res], error)) *Committer[Req, Res] {
	o = o.withDefaults()
	c := &Committer[Req, Res]{
		db: db, o: o, apply: apply, queue: newFair[*waiting[Req, Res]](o.Queue), wake: make(chan struct{}, 1), idle: make(chan struct{}),
	}
	c.lanes.init(o.Lanes)
	go c.run()
	return c
}

// waiting is a request in the queue. Whoever moves it out of queued decides its fate: the committer by taking it, or the
// caller by giving it up.
type waiting[Req, Res any] struct {
	req    Req
	load   int             // how much work it is
	asked  context.Context // of the caller; its trace alone is used
	until  time.Time       // the end of its wait; zero: none
	state  atomic.Int32
	answer chan Result[Res]
}

const (
	queued int32 = iota
	taken
	abandoned
)

// Do applies one request and returns after its commit is durable, or it has failed. Where nobody commits or waits it does so in the goroutine of the caller. When
// ctx ends first and Do returns its error, up to 10 ms later, the request was not and will not be applied; once a batch has taken it, Do waits for the outcome. A wait that is over is
// store.ErrUnavailable, and nothing was applied. A full queue is the problem overloaded, or queue_share_exceeded for who has the most in it (Shared), a closed committer unavailable, and a call from inside a write of the same
// database store.ErrNested.
// After a lost connection to the database (store.ErrUnavailable) the outcome is unknown.
func (c *Committer[Req, Res]) Do(ctx context.Context, req Req) (Res, error) {
	var none Res
	if c.db.Writing(ctx) {
		return none, store.ErrNested
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	w := &waiting[Req, Res]{req: req, load: 1, asked: ctx, answer: make(chan Result[Res], 1)}
	if loaded, ok := any(req).(Loaded); ok {
		w.load = loaded.Load()
	}
	var over <-chan time.Time
	if c.o.Wait > 0 {
		w.until = time.Now().Add(c.o.Wait)
		timer := time.NewTimer(c.o.Wait)
		defer timer.Stop()
		over = timer.C
	}
	if c.alone() {
		c.commitHere(w)
	} else if err := c.enqueue(w); err != nil {
		return none, err
	}
	r, gaveUp := c.await(ctx, w, over)
	if gaveUp == nil {
		return r.Value, r.Err
	}
	if w.state.CompareAndSwap(queued, abandoned) {
		return none, gaveUp
	}
	r = <-w.answer
	return r.Value, r.Err
}

// promptly is how long a caller waits for its answer without asking its context for what tells the end: the contexts of requests make that, a timer and more, for whoever asks
// first, and nearly all answers come before. Who does end is told so much later at the most.
const promptly = 10 * time.Millisecond

// await returns the answer, or why the caller gives up.
func (c *Committer[Req, Res]) await(ctx context.Context, w *waiting[Req, Res], over <-chan time.Time) (r Result[Res], gaveUp error) {
	timer, _ := c.timers.Get().(*time.Timer)
	if timer == nil {
		timer = time.NewTimer(promptly)
	} else {
		timer.Reset(promptly)
	}
	select {
	case r = <-w.answer:
		timer.Stop()
		c.timers.Put(timer)
		return r, nil
	case <-over:
		return r, errWaited
	case <-timer.C:
	}
	select {
	case r = <-w.answer:
		return r, nil
	case <-ctx.Done():
		return r, ctx.Err()
	case <-over:
		return r, errWaited
	}
}

// errWaited refuses a request whose wait is over. It was not applied.
var errWaited = fmt.Errorf("%w: the change has waited too long for a commit", store.ErrUnavailable)

// alone reports that nobody commits or waits, and gives the caller the turn: it commits itself, which spares both the change to the committer's goroutine
// and the one back. Requests whose wait ends are left to the goroutine, for whoever commits can't leave before its transaction is open.
func (c *Committer[Req, Res]) alone() bool {
	if c.o.Wait > 0 || c.queue.len() > 0 {
		return false
	}
	c.closing.RLock()
	defer c.closing.RUnlock()
	if c.closed || !c.turn.TryLock() {
		return false
	}
	c.lanes.running.Add(1) // Close waits for it
	return true
}

// commitHere commits in the caller's goroutine. Until the transaction is open the caller can give up, and then the request stays where it is: queued, and in no
// queue. Requests that have to be tried one by one are tried in a goroutine of their own: the caller needs its own answer alone.
func (c *Committer[Req, Res]) commitHere(w *waiting[Req, Res]) {
	end := func() {
		c.leaveTurn()
		c.lanes.running.Done()
	}
	ended := false
	defer func() {
		if !ended {
			end()
		}
	}()
	ctx, giveUp := c.bounded(tracing.Follow(context.Background(), w.asked))
	defer giveUp()
	stay := context.AfterFunc(w.asked, giveUp)
	if rest := c.commitIn(ctx, []*waiting[Req, Res]{w}, stay); len(rest) > 0 {
		ended = true
		go func() {
			defer end()
			c.commitSingly(rest)
		}()
	}
}

func (c *Committer[Req, Res]) enqueue(w *waiting[Req, Res]) error {
	c.closing.RLock()
	defer c.closing.RUnlock()
	if c.closed {
		return problem.New(problem.Unavailable, "The service is shutting down.").WithRetryAfter(time.Second)
	}
	c.met.Store(remembered)
	owner, part := "", ""
	if shared, ok := any(w.req).(Shared); ok {
		owner, part = shared.Owner(), shared.Part()
	}
	result, dropped, drops := c.queue.push(w, owner, part)
	if drops && dropped.state.CompareAndSwap(queued, taken) { // else its caller has given up
		dropped.answer <- Result[Res]{Err: errShare()}
	}
	switch result {
	case overShare:
		return errShare()
	case full:
		return problem.New(problem.Overloaded, "Too many changes are waiting to be written.").WithRetryAfter(time.Second)
	}
	c.rouse()
	return nil
}

// errShare refuses a request of who has more of the full queue than the others.
func errShare() error {
	return problem.New(problem.QueueShareExceeded, "The caller has more changes waiting to be written than its share of a full queue.").WithRetryAfter(time.Second)
}

// Waiting returns how many requests are in the queue, for metrics.
func (c *Committer[Req, Res]) Waiting() int { return c.queue.len() }

// Close refuses new requests, applies those that wait, and returns when all are answered.
func (c *Committer[Req, Res]) Close() {
	c.closing.Lock()
	if !c.closed {
		c.closed = true
		close(c.wake)
	}
	c.closing.Unlock()
	<-c.idle
}

func (c *Committer[Req, Res]) run() {
	defer close(c.idle)
	defer c.lanes.running.Wait()
	for open := true; open; {
		_, open = <-c.wake
		c.turn.Lock()
		c.commitQueue()
		c.turn.Unlock()
	}
}

// commitQueue commits until the queue is empty.
func (c *Committer[Req, Res]) commitQueue() {
	for {
		c.awaitCompany()
		w, ok := c.queue.pop()
		if !ok {
			return
		}
		if w.state.Load() == queued {
			c.commit([]*waiting[Req, Res]{w})
		}
	}
}

// drain takes what waits now.
func (c *Committer[Req, Res]) drain(batch []*waiting[Req, Res]) []*waiting[Req, Res] {
	for c.holdsMore(batch) {
		w, ok := c.queue.pop()
		if !ok {
			return batch
		}
		if w.state.CompareAndSwap(queued, taken) {
			batch = append(batch, w)
		}
	}
	return batch
}

// holdsMore reports whether a transaction of the batch may take another request.
func (c *Committer[Req, Res]) holdsMore(batch []*waiting[Req, Res]) bool {
	if len(batch) >= c.o.MaxBatch {
		return false
	}
	if c.o.MaxLoad <= 0 {
		return true
	}
	load := 0
	for _, w := range batch {
		load += w.load
	}
	return load < c.o.MaxLoad
}

// take keeps those of the requests whose callers have not given up.
func take[Req, Res any](requests []*waiting[Req, Res]) (batch []*waiting[Req, Res]) {
	for _, w := range requests {
		if w.state.CompareAndSwap(queued, taken) {
			batch = append(batch, w)
		}
	}
	return batch
}

// remembered is for how many commits of one request alone it counts that callers met.
const remembered = 64

// errNobody gives up a transaction that nobody waits for any more.
var errNobody = errors.New("nobody waits for this commit")

// commit applies what began the batch, together with what has come in by the time its transaction is open. Without that second look
// answers and new requests alternate, and batches settle at half of those who wait. Nobody is taken before the transaction is open, so
// that a caller's wait ends when it should however long that takes.
func (c *Committer[Req, Res]) commit(began []*waiting[Req, Res]) {
	ctx, cancel := c.bounded(tracing.Follow(context.Background(), began[0].asked))
	defer cancel()
	c.commitSingly(c.commitIn(ctx, began, func() bool { return true }))
}

// commitIn is commit in a context of the caller's; it returns those that are left to be tried one by one. stay is asked once, when the transaction is open or can't
// be opened: false leaves those who began the batch where they are.
func (c *Committer[Req, Res]) commitIn(ctx context.Context, began []*waiting[Req, Res], stay func() bool) (rest []*waiting[Req, Res]) {
	var batch []*waiting[Req, Res]
	opened := false
	results, err := c.transactWithin(ctx, func(*store.Tx) []*waiting[Req, Res] {
		if !opened { // a transaction that collided is tried again, for the same requests
			if !stay() {
				return nil
			}
			opened, batch = true, take(began)
		}
		// Those just answered come back with their next request, if they are let. Where nobody has met anybody lately there are none, and to let others run costs
		// more than a statement.
		for before := 0; len(batch) > before && c.met.Load() > 0; {
			before = len(batch)
			runtime.Gosched()
			batch = c.drain(batch)
		}
		if met := c.met.Load(); len(batch) == 1 && met > 0 {
			c.met.CompareAndSwap(met, met-1)
		}
		return batch
	})
	if !opened && stay() {
		batch = take(began)
	}
	if len(batch) > 0 {
		c.o.Observe(len(batch))
	}
	c.expected = len(batch) + c.queue.len() // before anybody is answered, and comes back
	return c.settle(batch, results, err)
}

// settle answers a batch, or returns its requests where trying them one by one can tell them apart.
func (c *Committer[Req, Res]) settle(batch []*waiting[Req, Res], results []Result[Res], err error) (rest []*waiting[Req, Res]) {
	switch {
	case err == nil:
		for i, w := range batch {
			c.answer(w, results[i])
		}
	case errors.Is(err, store.ErrHeld) && inLanes(results, len(batch)):
		for i, w := range batch {
			c.park(results[i].Lane, w)
		}
	case len(batch) > 1 && rolledBack(err):
		return batch
	default:
		for _, w := range batch {
			w.answer <- Result[Res]{Err: err}
		}
	}
	return nil
}

// commitSingly applies each request in a transaction of its own, so that only the guilty one fails.
func (c *Committer[Req, Res]) commitSingly(batch []*waiting[Req, Res]) {
	for _, w := range batch {
		c.commitOne(w)
	}
}

// inLanes reports whether every request has a lane.
func inLanes[Res any](results []Result[Res], requests int) bool {
	return len(results) == requests && !slices.ContainsFunc(results, func(r Result[Res]) bool { return r.Lane == "" })
}

func (c *Committer[Req, Res]) commitOne(w *waiting[Req, Res]) {
	batch := []*waiting[Req, Res]{w}
	results, err := c.transact(w.asked, func(*store.Tx) []*waiting[Req, Res] { return batch })
	c.settle(batch, results, err) // of one request none is left
}

// answer tells the caller, or has the request tried again in its lane.
func (c *Committer[Req, Res]) answer(w *waiting[Req, Res], r Result[Res]) {
	if r.Lane != "" && r.Err == nil {
		c.park(r.Lane, w)
		return
	}
	w.answer <- r
}

// rolledBack tells a failure of the requests, which a second try of each may tell apart, from one of the database, after
// which a second try is either in vain or, when only the answer to the commit was lost, would write twice.
func rolledBack(err error) bool {
	return !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// transact applies the batch that pick returns, which is asked once the transaction is open. Its statements stand in the trace of asked, the
// context of whoever the batch was begun for.
func (c *Committer[Req, Res]) transact(asked context.Context, pick func(tx *store.Tx) []*waiting[Req, Res]) (results []Result[Res], err error) {
	ctx, cancel := c.bounded(tracing.Follow(context.Background(), asked))
	defer cancel()
	return c.transactWithin(ctx, pick)
}

// bounded is the context of one transaction.
func (c *Committer[Req, Res]) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(store.Brief(ctx), c.o.Timeout)
}

func (c *Committer[Req, Res]) transactWithin(ctx context.Context, pick func(tx *store.Tx) []*waiting[Req, Res]) (results []Result[Res], err error) {
	err = c.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		batch := pick(tx)
		if len(batch) == 0 {
			return errNobody
		}
		reqs := make([]Req, len(batch))
		for i, w := range batch {
			reqs[i] = w.req
		}
		results, err = c.applySafely(ctx, tx, reqs)
		if err == nil && len(results) != len(reqs) {
			err = fmt.Errorf("apply returned %d results for %d requests", len(results), len(reqs))
		}
		return err
	})
	return results, err
}

// applySafely turns a panic into an error: it must not take down the others, nor the process.
func (c *Committer[Req, Res]) applySafely(ctx context.Context, tx *store.Tx, reqs []Req) (results []Result[Res], err error) {
	defer func() {
		if r := recover(); r != nil {
			c.o.Log.Error("panic while a batch was applied", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errors.New("panic while the request was applied")
		}
	}()
	return c.apply(ctx, tx, reqs)
}
