package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/internal/credential"
)

const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// Await repeats do until it succeeds, fails permanently (see Fatal), or ctx ends, and returns the error in the last two cases. Meanwhile the service
// reports that it waits for what, for example "the kms".
func (s *Service) Await(ctx context.Context, what string, do func(ctx context.Context) error) error {
	s.setWaiting("it waits for " + what)
	return Retry(ctx, s.config.Log, what, do)
}

// Retry repeats do until it succeeds, fails permanently (see Fatal), or ctx ends, with pauses that grow from 100 ms to 5 s. At a start it is normal
// that a dependency follows a moment later: a warning is logged only when the pauses have grown long.
func Retry(ctx context.Context, log *slog.Logger, what string, do func(ctx context.Context) error) error {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		err := do(ctx)
		var forGood fatal
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &forGood):
			return forGood.cause
		case errors.Is(err, credential.ErrForeignDataKey):
			return err
		}
		level := slog.LevelDebug
		if pause == longestPause {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "service is waiting", "for", what, "pause", pause, "error", err)
		if !rest(ctx, pause) {
			return ctx.Err()
		}
	}
}

// Fatal marks an error that a retry cannot cure. Await and Retry return err itself.
func Fatal(err error) error { return fatal{err} }

type fatal struct{ cause error }

func (f fatal) Error() string { return f.cause.Error() }

// Every returns a part that runs do at once and then with pauses until ctx ends. A failure is logged, with what was to be done, and do runs again
// after the usual pause.
func (s *Service) Every(pause time.Duration, what string, do func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		for {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.config.Log.WarnContext(ctx, "periodic work failed", "work", what, "error", err)
				s.CountFailure(what)
			}
			if !rest(ctx, pause) {
				return nil
			}
		}
	}
}

// CountFailure counts a failure of background work, labelled with what was to be done. The caller has logged it.
func (s *Service) CountFailure(what string) { s.failures.WithLabelValues(what).Inc() }

// rest waits for d. It returns false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
