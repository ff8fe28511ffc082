package lease

import (
	"context"
	"log/slog"
	"time"
)

// pause is the interval at which a worker looks for due work.
const pause = time.Second

// Worker runs one kind of work in the background. Several may share the work, in one process or in many.
type Worker struct {
	once   func(ctx context.Context) (bool, error)
	log    *slog.Logger
	told   string
	failed func()
	wake   chan struct{}
}

// NewWorker returns a Worker. once does one piece of due work, and reports whether there was any. If it fails, told is logged and failed
// counts the failure.
func NewWorker(once func(ctx context.Context) (bool, error), log *slog.Logger, told string, failed func()) *Worker {
	return &Worker{once: once, log: log, told: told, failed: failed, wake: make(chan struct{}, 1)}
}

// Wake makes Run look for due work at once.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It does not pause while there is due work and it succeeds.
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

// rest waits for pause, or until it is woken. It returns false if ctx ends.
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
