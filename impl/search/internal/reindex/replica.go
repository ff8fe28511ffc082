package reindex

import (
	"context"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/problem"
)

// beatPause is how often a replica reports its writes while a reindex is under way, lookPause how often it checks whether one is, and
// idleBeat how often it reports without one. A replica that has not reported for DeadAfter is considered dead. Its writes must have ended
// by then: a write takes at most WriteLife, and none starts if the last report is older than DeadAfter - WriteLife.
const (
	beatPause = 200 * time.Millisecond
	lookPause = time.Second
	idleBeat  = 30 * time.Second
	WriteLife = time.Minute
	DeadAfter = 2 * time.Minute
)

// Replica tracks the writes of this process that are under way, and reports the start of the oldest one to the other processes. It is safe
// for concurrent use.
type Replica struct {
	ID    string
	rows  ReplicaRows
	clock clock.Clock
	wake  chan struct{}

	mu     sync.Mutex
	writes map[*time.Time]struct{}
	told   time.Time // the time before the last successful Beat
}

// errUnannounced refuses a write that a reindex might not wait for.
var errUnannounced = problem.New(problem.EngineUnavailable, "This instance cannot announce its writes to the other instances.").WithRetryAfter(2 * time.Second)

// ReplicaRows stores the reports of replicas.
type ReplicaRows interface {
	// Beat reports that the replica is alive, and the age of its oldest write under way. age is called after the time was read, and after
	// cached mappings were cleared if they must not be used now. active reports whether a reindex is under way or is being rolled back.
	Beat(ctx context.Context, replica string, age func() time.Duration) (active bool, err error)
	// Active reports whether a reindex is under way or is being rolled back.
	Active(ctx context.Context) (bool, error)
	// Leave removes a replica that ends and has no write under way.
	Leave(ctx context.Context, replica string) error
}

// NewReplica returns a Replica with a unique ID. Beat must succeed once before the first write.
func NewReplica(rows ReplicaRows, c clock.Clock) *Replica {
	return &Replica{ID: id.New("rep"), rows: rows, clock: c, wake: make(chan struct{}, 1), writes: map[*time.Time]struct{}{}}
}

// begin registers a write that is about to read its mapping. The caller calls end when the write has ended. The write is refused if other
// processes might consider this replica dead before the write ends.
func (r *Replica) begin() (end func(), err error) {
	began := r.clock.Now()
	key := &began
	r.mu.Lock()
	defer r.mu.Unlock()
	if began.Sub(r.told) > DeadAfter-WriteLife {
		return nil, errUnannounced
	}
	r.writes[key] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.writes, key)
	}, nil
}

// Begin is begin, but if the last report is too old it first makes one. It fails if the report fails.
func (r *Replica) Begin(ctx context.Context) (end func(), err error) {
	if end, err = r.begin(); err == nil {
		return end, nil
	}
	if _, told := r.Beat(ctx); told != nil {
		return nil, errUnannounced.Wrap(told)
	}
	return r.begin()
}

// age returns the age of the oldest write under way, or 0 if there is none.
func (r *Replica) age() (oldest time.Duration) {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for began := range r.writes {
		oldest = max(oldest, now.Sub(*began))
	}
	return oldest
}

// Beat makes one report.
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

// Leave reports that this replica ends, so that swaps need not wait until it is considered dead. No write can start afterwards. If a write
// is still under way, the replica is not removed. Beat must not be called any more.
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

// Wake makes Run check at once, because a reindex has started.
func (r *Replica) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run makes reports until ctx ends, often while a reindex is under way. failed is called with each error.
func (r *Replica) Run(ctx context.Context, failed func(error)) error {
	active, last := false, time.Time{}
	for {
		var err error
		if active || time.Since(last) >= idleBeat {
			if active, err = r.Beat(ctx); err == nil {
				last = time.Now()
			}
		} else if active, err = r.rows.Active(ctx); err == nil && active {
			continue // and reports at once
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

// rest waits for d or until wake receives. It returns false if ctx ends.
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
