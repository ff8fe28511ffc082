package searchsync

import (
	"context"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// walksPause is the time between two checks for walks that another replica has begun, or that have failed.
const walksPause = 10 * time.Second

// Walks mark the elements of whole scopes as changed for search, in transactions of at most walk elements. Other transactions write in between. A walk survives the end of a process: it continues after
// the last element that was marked.
type Walks struct {
	DB  *database.DB
	Log *slog.Logger
	// Marked is called when elements are due for delivery. It must not block.
	Marked func()
	// Begun wakes Run for a new walk; it has a buffer of one.
	Begun chan struct{}
}

// Notify wakes Run, because a walk has begun.
func (w Walks) Notify() {
	select {
	case w.Begun <- struct{}{}:
	default: // Run will wake already
	}
}

// Reindex begins a walk over a scope at its first element. A walk that is under way starts anew.
func (w Walks) Reindex(ctx context.Context, scope string) (err error) {
	defer tried.To(&err, "mark scope for search")
	if err := w.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.BeginWalk(ctx, tx, scope) }); err != nil {
		return err
	}
	w.Notify()
	return nil
}

// Run makes the walks until ctx ends.
func (w Walks) Run(ctx context.Context) error {
	ticks := time.NewTicker(walksPause)
	defer ticks.Stop()
	for {
		if err := w.all(ctx); err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "scope could not be marked for search", "error", err)
		}
		select {
		case <-w.Begun:
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w Walks) all(ctx context.Context) error {
	for {
		more := false
		err := w.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) (err error) {
			more, err = store.WalkStep(ctx, tx, walk, Enqueue)
			return err
		})
		if err != nil || !more {
			return err
		}
		w.Marked()
	}
}
