// Package groupcommit lets many small durable writes share one transaction. A commit costs one wait for the disk, however many writes it contains. On
// the machine on which this was designed, that raised 4,000 writes a second to 40,000 on SQLite and 18,600 on PostgreSQL.
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
	MaxLoad  int            // a transaction takes no further request once the load of its requests (Loaded) has reached this; default: no bound
	Company  time.Duration  // how long a commit waits for another of the callers whom the last one answered; for the first of them it waits 4 times as long, and it repeats the wait up to 7 times while they keep arriving; default 0: no wait
	Queue    int            // requests that may be queued, of all owners together (Shared); default 4096
	Timeout  time.Duration  // for one transaction; default 30 s
	Wait     time.Duration  // how long after Do a request may wait for its commit to begin, before it is refused as unavailable (in a lane up to 1 s longer); default: as long as its context
	Lanes    int            // transactions that run at the same time for requests whose rows another transaction holds, besides the usual one; default 4
	Observe  func(size int) // gets the size of every batch, for metrics; may be nil
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
	Err   error // fails only this request; apply must have written nothing for it

	// Lane is not empty if another transaction holds a row that the request needs; apply must have written nothing for it. The committer tries the
	// request again together with the others of this lane, in a transaction that runs beside the usual ones. In that transaction apply may wait
	// (MayWait), and must not return a lane.
	Lane string
}

// Apply writes a batch in one transaction and returns one Result for each request, in order. It may be called again for the same requests, so it must
// have no effect outside tx. Its error rolls the transaction back, and each request is tried again in a transaction of its own, so that only the
// failing one gets the error; an error of the database itself (store.ErrUnavailable) goes to all of them. Where apply may not wait, it can return
// store.ErrHeld with a lane for each request: they are then tried again in their lanes. The context belongs to the committer, not to a request.
type Apply[Req, Res any] func(ctx context.Context, tx *store.Tx, batch []Req) ([]Result[Res], error)

// Loaded is a request that reports how much work it is, in a unit that the caller chooses. Other requests have a load of 1.
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

	turn     sync.Mutex    // held by the goroutine that commits: the committer's, or that of a caller that found no other
	met      atomic.Int32  // above 0: callers recently had to queue behind others
	expected int           // how many requests the last commit had, and were queued behind it, until they have been waited for; guarded by turn
	wake     chan struct{} // has one element when the queue has something new
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

// waiting is a request that is not answered yet. Whoever changes its state from queued decides what happens to it: the committer takes it, or its
// caller abandons it.
type waiting[Req, Res any] struct {
	req    Req
	load   int             // its load (Loaded)
	asked  context.Context // the caller's; used for its trace, and to end the commit in the caller's own goroutine
	until  time.Time       // when its wait ends; zero: never
	state  atomic.Int32
	answer chan Result[Res]
}

const (
	queued int32 = iota
	taken
	abandoned
)

// Do applies one request and returns when its commit is durable, or when it has failed. If no other request is queued or being committed, the commit
// runs in the goroutine of the caller.
//
// When ctx ends first and Do returns its error, up to 10 ms later, the request was not applied and will not be. Once a batch has taken the request, Do
// waits for the outcome. When Options.Wait is over, Do returns store.ErrUnavailable, and nothing was applied. A full queue is the problem overloaded,
// or queue_share_exceeded for the owner with the most requests in it (Shared). A closed committer is the problem unavailable. A call from inside a
// write of the same database is store.ErrNested.
//
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

// promptly is how long a caller waits for its answer before it calls Done on its context. The context of a request creates a timer and more at the
// first call of Done, and nearly all answers come before that is needed. The end of the context is noticed later by at most this time.
const promptly = 10 * time.Millisecond

// await returns the answer, or the reason for which the caller gives up.
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

// errWaited refuses a request whose wait has ended. It was not applied.
var errWaited = fmt.Errorf("%w: the change has waited too long for a commit", store.ErrUnavailable)

// alone reports whether no request is queued or being committed, and if so gives the caller the turn. The caller then commits in its own goroutine,
// which saves two switches to and from the committer's goroutine. With Options.Wait requests are left to the committer, because a caller that commits
// can't give up by time before its transaction is open.
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

// commitHere commits in the caller's goroutine. The caller can give up until the transaction is open; the request then stays in the state queued,
// though it is in no queue. Requests that must be tried one by one are tried in another goroutine, since the caller needs only its own answer.
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
	if drops && dropped.state.CompareAndSwap(queued, taken) { // otherwise its caller has given up
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

// errShare refuses a request of an owner that has more than its share of the full queue.
func errShare() error {
	return problem.New(problem.QueueShareExceeded, "The caller has more changes waiting to be written than its share of a full queue.").WithRetryAfter(time.Second)
}

// Waiting returns how many requests are queued, for metrics.
func (c *Committer[Req, Res]) Waiting() int { return c.queue.len() }

// Close refuses new requests, applies the queued ones, and returns when all are answered.
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

// drain adds queued requests to the batch until the queue is empty or the batch is full.
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

// holdsMore reports whether the batch may take another request.
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

// take returns the requests whose callers have not given up, and marks them as taken.
func take[Req, Res any](requests []*waiting[Req, Res]) (batch []*waiting[Req, Res]) {
	for _, w := range requests {
		if w.state.CompareAndSwap(queued, taken) {
			batch = append(batch, w)
		}
	}
	return batch
}

// remembered is after how many commits of a single request callers no longer count as having met.
const remembered = 64

// errNobody ends a transaction whose callers have all given up.
var errNobody = errors.New("no caller waits for this commit")

// commit applies the requests in began, together with those that are queued by the time its transaction is open. Without that second look at the
// queue, answers and new requests would alternate, and a batch would hold only half of the waiting requests. No request is taken before the
// transaction is open, so that a caller can give up until then, however long the opening takes.
func (c *Committer[Req, Res]) commit(began []*waiting[Req, Res]) {
	ctx, cancel := c.bounded(tracing.Follow(context.Background(), began[0].asked))
	defer cancel()
	c.commitSingly(c.commitIn(ctx, began, func() bool { return true }))
}

// commitIn is commit in a context of the caller's. It returns the requests that must still be tried one by one. stay is called once, when the
// transaction is open or could not be opened; if it returns false, the requests in began are not taken.
func (c *Committer[Req, Res]) commitIn(ctx context.Context, began []*waiting[Req, Res], stay func() bool) (rest []*waiting[Req, Res]) {
	var batch []*waiting[Req, Res]
	opened := false
	results, err := c.transactWithin(ctx, func(*store.Tx) []*waiting[Req, Res] {
		if !opened { // a transaction with a conflict is tried again, for the same requests
			if !stay() {
				return nil
			}
			opened, batch = true, take(began)
		}
		// Callers who were just answered send their next request as soon as they get to run. If no callers have met recently there are none, and
		// yielding would cost more than a statement.
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
	c.expected = len(batch) + c.queue.len() // before any caller is answered and comes back
	return c.settle(batch, results, err)
}

// settle answers a batch. It returns the requests instead if the error may be that of a single one, which trying them one by one finds.
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

// commitSingly applies each request in a transaction of its own, so that only the failing one gets the error.
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
	c.settle(batch, results, err) // returns nothing for a single request
}

// answer sends the result to the caller, or has the request tried again in its lane.
func (c *Committer[Req, Res]) answer(w *waiting[Req, Res], r Result[Res]) {
	if r.Lane != "" && r.Err == nil {
		c.park(r.Lane, w)
		return
	}
	w.answer <- r
}

// rolledBack reports whether an error is one of the requests, so that a second try of each can find the failing one. It is false for an error of the
// database. After that a second try would fail too or, if only the answer to the commit was lost, would write twice.
func rolledBack(err error) bool {
	return !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// transact applies the batch that pick returns; pick is called when the transaction is open. The spans of its statements belong to the trace of
// asked, the context of the request for which the batch was begun.
func (c *Committer[Req, Res]) transact(asked context.Context, pick func(tx *store.Tx) []*waiting[Req, Res]) (results []Result[Res], err error) {
	ctx, cancel := c.bounded(tracing.Follow(context.Background(), asked))
	defer cancel()
	return c.transactWithin(ctx, pick)
}

// bounded returns the context of one transaction, with its time limit.
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

// applySafely turns a panic into an error, which must not end the process or fail the other requests.
func (c *Committer[Req, Res]) applySafely(ctx context.Context, tx *store.Tx, reqs []Req) (results []Result[Res], err error) {
	defer func() {
		if r := recover(); r != nil {
			c.o.Log.Error("panic while a batch was applied", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errors.New("panic while the request was applied")
		}
	}()
	return c.apply(ctx, tx, reqs)
}
