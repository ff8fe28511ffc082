package lease

import (
	"context"
	"log/slog"
	"time"
)

// pause is between two looks for work that is due.
const pause = time.Second

// Worker does one kind of work in the background. Several may share it, in one process or in many.
type Worker struct {
	once   func(ctx context.Context) (bool, error)
	log    *slog.Logger
	told   string
	failed func()
	wake   chan struct{}
}

// NewWorker returns a Worker. once does a piece of work that is due, and reports whether there was one. told is what the log says when that fails, and failed counts it.
func NewWorker(once func(ctx context.Context) (bool, error), log *slog.Logger, told string, failed func()) *Worker {
	return &Worker{once: once, log: log, told: told, failed: failed, wake: make(chan struct{}, 1)}
}

// Wake makes Run look at once: there is something to do.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends: without a pause as long as there is something that is due, and goes well.
func (w *Worker) Run(ctx context.Context) error {
	for {
		worked, err := w.once(ctx)
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, w.told, "error", err)
			w.failed()
		}
		if worked && err == nil && ctx.Err() == nil {
			continue
		}
		if !w.rest(ctx) {
			return nil
		}
	}
}

// rest waits for a moment, or until it is woken. It reports false when ctx ends.
func (w *Worker) rest(ctx context.Context) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.wake:
		return true
	case <-ctx.Done():
		return false
	}
}
