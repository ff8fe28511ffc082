package reindex

import (
	"context"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/problem"
)

// How often a replica tells of its writes while a reindex is under way, how often it looks whether one is, and how often it tells without one. One that did not tell
// for DeadAfter is taken for dead, and so are its writes: they have WriteLife, and none begins when it has not told for the rest.
const (
	beatPause = 200 * time.Millisecond
	lookPause = time.Second
	idleBeat  = 30 * time.Second
	WriteLife = time.Minute
	DeadAfter = 2 * time.Minute
)

// Replica knows the writes of this process that are under way, and tells the others the time of the oldest. It is safe for concurrent use.
type Replica struct {
	ID    string
	rows  ReplicaRows
	clock clock.Clock
	wake  chan struct{}

	mu     sync.Mutex
	writes map[*time.Time]struct{}
	told   time.Time // before the last Beat that succeeded
}

// errUntold refuses a write that a reindex would not wait for.
var errUntold = problem.New(problem.EngineUnavailable, "This instance can't tell the others of its writes.").WithRetryAfter(2 * time.Second)

// ReplicaRows is where replicas tell of themselves.
type ReplicaRows interface {
	// Beat tells that the replica lives, and that its oldest write under way is of the age that age returns, which is asked after the time was taken and after what
	// is kept of mappings was forgotten, if they must not be kept now. active says that a reindex is under way, or is rolled back.
	Beat(ctx context.Context, replica string, age func() time.Duration) (active bool, err error)
	// Active says whether one is.
	Active(ctx context.Context) (bool, error)
	// Leave removes a replica that ends and has no write under way.
	Leave(ctx context.Context, replica string) error
}

// NewReplica returns a Replica of a name of its own. Beat must have succeeded once before the first write.
func NewReplica(rows ReplicaRows, c clock.Clock) *Replica {
	return &Replica{ID: id.New("rep"), rows: rows, clock: c, wake: make(chan struct{}, 1), writes: map[*time.Time]struct{}{}}
}

// begin notes a write that begins to read its mapping now; end is called when the write has ended. It is refused when others may take this replica for dead
// before the write has ended.
func (r *Replica) begin() (end func(), err error) {
	began := r.clock.Now()
	key := &began
	r.mu.Lock()
	defer r.mu.Unlock()
	if began.Sub(r.told) > DeadAfter-WriteLife {
		return nil, errUntold
	}
	r.writes[key] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.writes, key)
	}, nil
}

// Begin is begin for a replica that has not told of itself for too long: it tells at once. It is refused when that fails.
func (r *Replica) Begin(ctx context.Context) (end func(), err error) {
	if end, err = r.begin(); err == nil {
		return end, nil
	}
	if _, told := r.Beat(ctx); told != nil {
		return nil, errUntold.Wrap(told)
	}
	return r.begin()
}

// age is how long ago the oldest write under way began; 0 without one.
func (r *Replica) age() (oldest time.Duration) {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for began := range r.writes {
		oldest = max(oldest, now.Sub(*began))
	}
	return oldest
}

// Beat tells once.
func (r *Replica) Beat(ctx context.Context) (active bool, err error) {
	now := r.clock.Now()
	if active, err = r.rows.Beat(ctx, r.ID, r.age); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = now
	return active, nil
}

// Leave tells the others that this replica ends, so that no swap waits until it is taken for dead. It begins no write after it; one that is still under way
// keeps it from leaving. Nothing may beat any more.
func (r *Replica) Leave(ctx context.Context) error {
	r.mu.Lock()
	writes := len(r.writes)
	r.told = time.Time{}
	r.mu.Unlock()
	if writes > 0 {
		return nil
	}
	return r.rows.Leave(ctx, r.ID)
}

// Wake makes Run look at once: a reindex has begun.
func (r *Replica) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run tells until ctx ends: often while a reindex is under way. failed is told what went wrong.
func (r *Replica) Run(ctx context.Context, failed func(error)) error {
	active, last := false, time.Time{}
	for {
		var err error
		if active || time.Since(last) >= idleBeat {
			if active, err = r.Beat(ctx); err == nil {
				last = time.Now()
			}
		} else if active, err = r.rows.Active(ctx); err == nil && active {
			continue // and tells at once
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		pause := lookPause
		if active {
			pause = beatPause
		}
		if !rest(ctx, pause, r.wake) {
			return nil
		}
	}
}

// rest waits, not after wake, and reports whether ctx goes on.
func rest(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}
