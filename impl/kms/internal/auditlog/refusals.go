package auditlog

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// maxRefusals is how many refusals per action and minute a replica records individually.
const maxRefusals = 60

// Refusals records refusals of unauthenticated requests, which anyone can cause without limit. Beyond maxRefusals in a minute they are only counted,
// and one event has their number. It is safe for concurrent use.
type Refusals struct {
	Log
	mu     sync.Mutex
	counts map[string]*refused // by action
}

type refused struct {
	minute            time.Time
	recorded, skipped int64
}

// NewRefusals returns the recorder of refusals.
func NewRefusals(l Log) *Refusals { return &Refusals{Log: l, counts: map[string]*refused{}} }

// Append records a refusal, or counts it.
func (r *Refusals) Append(ctx context.Context, tx *store.Tx, e Event) error {
	e.Outcome = Denied
	record, skipped := r.admit(e.Action)
	if skipped > 0 {
		if err := r.summarise(ctx, tx, e.Action, skipped); err != nil {
			return err
		}
	}
	if !record {
		return nil
	}
	return r.Log.Append(ctx, tx, e)
}

// admit counts a refusal. It returns whether to record it individually, and the number of refusals of an earlier minute that were only counted.
func (r *Refusals) admit(action string) (record bool, skipped int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[action]
	if c == nil {
		c = &refused{}
		r.counts[action] = c
	}
	if minute := r.Clock.Now().Truncate(time.Minute); !c.minute.Equal(minute) {
		skipped = c.skipped
		*c = refused{minute: minute}
	}
	if c.recorded >= maxRefusals {
		c.skipped++
		return false, skipped
	}
	c.recorded++
	return true, skipped
}

// Flush records the number of refusals of past minutes that were only counted.
func (r *Refusals) Flush(ctx context.Context, db *store.DB) (err error) {
	defer tried.To(&err, "record skipped refusals")
	r.mu.Lock()
	minute, skipped := r.Clock.Now().Truncate(time.Minute), map[string]int64{}
	for action, c := range r.counts {
		if !c.minute.Equal(minute) && c.skipped > 0 {
			skipped[action] = c.skipped
			c.skipped = 0
		}
	}
	r.mu.Unlock()
	if len(skipped) == 0 {
		return nil
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		for action, n := range skipped {
			if err := r.summarise(ctx, tx, action, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // they are recorded by the next flush
		r.mu.Lock()
		defer r.mu.Unlock()
		for action, n := range skipped {
			r.counts[action].skipped += n
		}
	}
	return err
}

func (r *Refusals) summarise(ctx context.Context, tx *store.Tx, action string, n int64) error {
	return r.Log.Append(ctx, tx, Event{Action: action, Outcome: Denied, Detail: map[string]string{"notRecorded": strconv.FormatInt(n, 10)}})
}
