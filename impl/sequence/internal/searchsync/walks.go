package searchsync

import (
	"context"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// walksPause is between two looks for walks that another replica has begun, or that failed.
const walksPause = 10 * time.Second

// Walks mark the elements of whole scopes for search, walk elements in one transaction each: others write in between, and the walk goes on behind where a process ended.
type Walks struct {
	DB  *database.DB
	Log *slog.Logger
	// Marked is told when elements are to be delivered. It must not block.
	Marked func()
	// Begun tells Run of a walk; it holds one.
	Begun chan struct{}
}

// Notify says that a walk was begun.
func (w Walks) Notify() {
	select {
	case w.Begun <- struct{}{}:
	default: // it is told already
	}
}

// Reindex begins a walk over a scope, from the first element on, also where one is under way.
func (w Walks) Reindex(ctx context.Context, scope string) (err error) {
	defer tried.To(&err, "mark scope for search")
	if err := w.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.BeginWalk(ctx, tx, scope) }); err != nil {
		return err
	}
	w.Notify()
	return nil
}

// Run walks until ctx ends.
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
