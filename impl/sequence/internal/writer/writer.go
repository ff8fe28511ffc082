// Package writer makes changes durable. Waiting requests share a commit, and each is answered after it. A request that breaks
// a rule of the domain fails alone. The same commit holds the idempotency key with the outcome of the request, the outbox rows
// for the search service and the audit event.
package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/idempotency"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	maxBatch = 512
	maxLoad  = 1000 // elements (Request.Load) that the requests of one commit write; the last request may exceed it
	// loadBytes is how many bytes of data count as one element. Without it a commit of 512 requests could write 32 MiB, while all other requests wait.
	loadBytes = 8 << 10
	queue     = 4096
	// A creation of more elements than largeCreate is large. Few large ones are admitted at a time, because each can hold megabytes.
	largeCreate  = 64
	largeAtATime = 16
	// A long reorder or move holds a place until it is settled, which takes long for a far move. The bound for each owner keeps one owner from holding all places.
	ordersAtATime = 16
	ordersOfEach  = 4
	maxWait       = 10 * time.Second
)

// Options configure a Writer.
type Options struct {
	DB         *database.DB
	Keys       *idempotency.Store
	Clock      clock.Clock
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Enqueue adds changed elements to the outbox, in the transaction that changes them.
	Enqueue func(ctx context.Context, tx *database.Tx, touched []domain.Ref) error
	// Committed is called after a commit that changed something in a scope. It must not block.
	Committed func(scope string)
	// Wait is how long a change waits for its commit before it is refused as unavailable; default 10 s.
	Wait time.Duration
	// MaxBatch is how many requests share a commit at most; default 512. 1 is for benchmarks that compare.
	MaxBatch int
}

// Request is one change, with the Idempotency-Key that was sent with it, if any. Exactly one of the other fields is set. A request
// can be tried more than once, so nothing may modify it.
type Request struct {
	Create  *domain.Create
	Revise  *domain.Revise
	Restate *domain.Restate
	Reorder *domain.Reorder
	Move    *domain.Move
	Key     *idempotency.Key

	fingerprint []byte // of Key
}

// Writer is the only way to change elements, apart from imports. It is safe for concurrent use.
type Writer struct {
	Options
	commits  *groupcommit.Committer[Request, store.Done]
	elements *store.Store
	large    *places // for large creations
	orders   *places // for long reorders and moves
	size     prometheus.Histogram
	settling sync.WaitGroup // work on long reorders and moves that goes on after their callers are answered
	closing  context.Context
	giveOver context.CancelFunc // ends closing: other processes settle the rest
	patience time.Duration      // how long Close waits for settling
	between  func()             // called before each transaction of a long reorder, for tests
	stepped  func()             // called after it
	page     int                // orders that finishLeft reads at once
}

// New starts a Writer.
func New(o Options) *Writer {
	if o.MaxBatch == 0 {
		o.MaxBatch = maxBatch
	}
	if o.Wait == 0 {
		o.Wait = maxWait
	}
	w := &Writer{
		Options:  o,
		elements: store.New(o.DB),
		large:    newPlaces(largeAtATime, largeAtATime),
		orders:   newPlaces(ordersAtATime, ordersOfEach),
		patience: closeWithin,
		page:     leftAtOnce,
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fountain_sequence_commit_requests", Help: "Requests that shared one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
	}
	w.closing, w.giveOver = context.WithCancel(context.Background())
	o.Registerer.MustRegister(w.size)
	w.commits = groupcommit.New(o.DB, groupcommit.Options{
		MaxBatch: o.MaxBatch, MaxLoad: maxLoad, Queue: queue, Wait: o.Wait, Log: o.Log, Observe: func(n int) { w.size.Observe(float64(n)) },
	}, w.apply)
	o.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fountain_sequence_commit_waiting_requests", Help: "Changes that wait for a commit.",
	}, func() float64 { return float64(w.commits.Waiting()) }))
	o.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fountain_sequence_commit_parked_requests", Help: "Changes that wait for a group or feed that another transaction holds.",
	}, func() float64 { return float64(w.commits.Parked()) }))
	return w
}

// Do makes a change and returns its outcome once it is durable, or why nothing was changed: an error of the domain, a problem of
// the Idempotency-Key, or that the service is overloaded or unavailable. The same request with the same key again returns the
// outcome of the first.
func (w *Writer) Do(ctx context.Context, r Request) (store.Done, error) {
	if err := r.check(); err != nil {
		return store.Done{}, err
	}
	if r.Create != nil && len(r.Create.Drafts) > largeCreate {
		if err := w.large.enter(ctx, r.Owner(), w.Wait); err != nil {
			return store.Done{}, err
		}
		defer w.large.leave(r.Owner())
	}
	if r.Key != nil { // in the caller's goroutine, because all other requests wait for the transaction
		var err error
		if r.fingerprint, err = w.Keys.Fingerprint(*r.Key); err != nil {
			return store.Done{}, err
		}
	}
	do := w.commits.Do
	if r.Reorder != nil || r.Move != nil {
		do = w.reorder
	}
	done, err := do(ctx, r)
	if err != nil {
		return store.Done{}, err
	}
	if len(done.Touched) > 0 {
		w.Committed(done.Touched[0].Scope)
	}
	return done, nil
}

// Close waits for the queued requests, and up to patience for long reorders and moves to settle. The next start, or another replica, settles the rest.
func (w *Writer) Close() {
	w.commits.Close()
	over := time.AfterFunc(w.patience, w.giveOver)
	w.settling.Wait()
	over.Stop()
	w.giveOver()
}

// check enforces the rules that need no database.
func (r Request) check() error {
	switch {
	case r.Create != nil:
		return r.Create.Check()
	case r.Revise != nil:
		return r.Revise.Check()
	case r.Reorder != nil:
		return r.Reorder.Check()
	case r.Move != nil:
		return r.Move.Check()
	}
	return nil
}

// Load implements groupcommit.Loaded. It returns how many elements the request writes at most, or its data in units of loadBytes if that is more.
func (r Request) Load() int {
	switch {
	case r.Create != nil:
		bytes := 0
		for _, d := range r.Create.Drafts {
			bytes += len(d.Data)
		}
		return max(len(r.Create.Drafts), bytes/loadBytes)
	case r.Revise != nil:
		return max(1, len(r.Revise.Data)/loadBytes)
	case r.Reorder != nil:
		return len(r.Reorder.Order)
	case r.Move != nil:
		return store.LongOrder
	}
	return 1
}

// Owner implements groupcommit.Shared. It returns the subject: subjects take turns in commits, and so do the scopes of each.
func (r Request) Owner() string {
	switch {
	case r.Create != nil:
		return r.Create.Actor.Subject
	case r.Revise != nil:
		return r.Revise.Actor.Subject
	case r.Restate != nil:
		return r.Restate.Actor.Subject
	case r.Reorder != nil:
		return r.Reorder.Actor.Subject
	case r.Move != nil:
		return r.Move.Actor.Subject
	}
	return ""
}

// Part implements groupcommit.Shared. It returns the scope.
func (r Request) Part() string {
	switch {
	case r.Create != nil:
		return r.Create.Scope
	case r.Revise != nil:
		return r.Revise.Scope
	case r.Restate != nil:
		return r.Restate.Scope
	case r.Reorder != nil:
		return r.Reorder.Scope
	case r.Move != nil:
		return r.Move.Scope
	}
	return ""
}

// change returns the change that the request asks for, not yet made.
func (r Request) change() *store.Change {
	return &store.Change{Create: r.Create, Revise: r.Revise, Restate: r.Restate, Reorder: r.Reorder, Move: r.Move}
}

// try is one request in one transaction.
type try struct {
	Request
	change *store.Change
	entry  *idempotency.Entry // nil without a key
	lane   string             // not empty: another transaction holds its group or feed, and it waits in this lane
	detail map[string]string  // of the audit event of a long reorder or move, which is made before the transaction
}

// waiting reports whether the change is still to be made: it waits in no lane, it is no repeat, and its key is in order.
func (t *try) waiting() bool { return t.lane == "" && (t.entry == nil || t.entry.Claimed()) }

// apply makes the changes of one shared commit.
func (w *Writer) apply(ctx context.Context, tx *database.Tx, batch []Request) ([]groupcommit.Result[store.Done], error) {
	results, err := w.applyAll(ctx, tx, batch)
	if errors.Is(err, database.ErrHeld) && groupcommit.MayWait(ctx) == 0 {
		results = make([]groupcommit.Result[store.Done], len(batch)) // it is not known for which request the row is held: all wait in the lanes of their scopes
		for i, r := range batch {
			results[i].Lane = laneOfScope(r.change().Group())
		}
	}
	return results, err
}

func (w *Writer) applyAll(ctx context.Context, tx *database.Tx, batch []Request) ([]groupcommit.Result[store.Done], error) {
	tries := make([]*try, len(batch))
	for i, r := range batch {
		tries[i] = &try{Request: r, change: r.change()}
	}
	if err := w.lock(ctx, tx, tries); err != nil {
		return nil, err
	}
	var entries []*idempotency.Entry
	for _, t := range tries {
		if t.Key != nil && t.lane == "" {
			t.entry = &idempotency.Entry{Key: *t.Key, Fingerprint: t.fingerprint}
			entries = append(entries, t.entry)
		}
	}
	if err := w.Keys.Claim(ctx, tx, entries); err != nil {
		return nil, err
	}
	at := w.now()
	if err := w.change(ctx, tx, at, tries); err != nil {
		return nil, err
	}
	if err := w.Keys.Keep(ctx, tx, entries); err != nil {
		return nil, err
	}
	results := make([]groupcommit.Result[store.Done], len(tries))
	for i, t := range tries {
		results[i] = t.result()
	}
	return results, nil
}

// lock locks the groups and feeds of the tries. It puts those whose group or feed another transaction holds into a lane. In the transaction of a lane it waits for the locks instead.
func (w *Writer) lock(ctx context.Context, tx *database.Tx, tries []*try) error {
	wait := groupcommit.MayWait(ctx)
	var groups []domain.Group
	for _, t := range tries {
		groups = append(groups, t.change.Group())
	}
	held, err := store.Lock(ctx, tx, groups, wait)
	if err != nil {
		return err
	}
	for _, t := range tries {
		if slices.Contains(held, t.change.Group()) {
			t.lane = lane(t.change.Group())
		}
	}
	return w.lockFeeds(ctx, tx, tries, wait)
}

// lockFeeds locks the feeds of the tries whose groups are locked.
func (w *Writer) lockFeeds(ctx context.Context, tx *database.Tx, tries []*try, wait time.Duration) error {
	var scopes []string
	for _, t := range tries {
		if t.lane == "" {
			scopes = append(scopes, t.change.Group().Scope)
		}
	}
	held, err := store.LockFeeds(ctx, tx, scopes, wait)
	for _, t := range tries {
		if t.lane == "" && slices.Contains(held, t.change.Group().Scope) {
			t.lane = laneOfScope(t.change.Group())
		}
	}
	return err
}

// lane returns the lane of requests whose group another transaction holds, laneOfScope that of requests for which only the feed is held. All requests of a lane have one scope.
func lane(g domain.Group) string        { return g.Scope + "/" + g.ElementType }
func laneOfScope(g domain.Group) string { return g.Scope + "/" }

// change makes the changes of the tries that still wait for it, and writes what must commit with them.
func (w *Writer) change(ctx context.Context, tx *database.Tx, at time.Time, tries []*try) error {
	var changes []*store.Change
	for _, t := range tries {
		if t.waiting() {
			changes = append(changes, t.change)
		}
	}
	if err := store.Apply(ctx, tx, at, changes); err != nil {
		return err
	}
	var touched []domain.Ref
	var events []audit.Event
	for _, t := range tries {
		if !t.waiting() {
			continue
		}
		if t.change.Err == nil {
			touched = append(touched, t.change.Done.Touched...)
			events = append(events, t.events(at)...)
		}
		if err := t.settle(); err != nil {
			return err
		}
	}
	if len(touched) > 0 {
		if err := w.Enqueue(ctx, tx, touched); err != nil {
			return fmt.Errorf("enqueue for search: %w", err)
		}
	}
	if err := store.Record(ctx, tx, at, changes); err != nil {
		return err
	}
	return audit.Append(ctx, tx, events...)
}

// settle sets in the entry of the key what a repeat of the request is answered.
func (t *try) settle() (err error) {
	if t.entry == nil {
		return nil
	}
	if t.change.Err != nil {
		t.entry.Err = t.change.Err
		return nil
	}
	t.entry.Answer.Body, err = encodeReceipt(t.change.Done)
	return err
}

func (t *try) result() groupcommit.Result[store.Done] {
	switch {
	case t.lane != "":
		return groupcommit.Result[store.Done]{Lane: t.lane}
	case t.change.Err != nil:
		return groupcommit.Result[store.Done]{Err: t.change.Err}
	case t.entry == nil || !t.entry.Replayed:
		if t.entry != nil && t.entry.Err != nil {
			return groupcommit.Result[store.Done]{Err: t.entry.Err}
		}
		return groupcommit.Result[store.Done]{Value: t.change.Done}
	}
	done, err := decodeReceipt(t.entry.Answer.Body, t.Request)
	return groupcommit.Result[store.Done]{Value: done, Err: err}
}

var errReceipt = errors.New("receipt does not match its request")

// Parked returns how many changes wait for a group or feed that another transaction holds.
func (w *Writer) Parked() int { return w.commits.Parked() }
