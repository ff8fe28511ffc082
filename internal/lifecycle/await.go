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

// Await does it until it succeeds, fails for good (see Fatal), or ctx ends, and returns the error of the last two. Until then the
// service says that it waits for what, for example "the kms".
func (s *Service) Await(ctx context.Context, what string, do func(ctx context.Context) error) error {
	s.waitsBecause("it waits for " + what)
	return Retry(ctx, s.config.Log, what, do)
}

// Retry does it until it succeeds, fails for good (see Fatal), or ctx ends, with pauses that grow from 100 ms to 5 s. What comes a
// moment later is normal at a start: it is not worth a warning before the pauses have grown long.
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

// Fatal marks an error that waiting does not cure. Await and Retry return err itself.
func Fatal(err error) error { return fatal{err} }

type fatal struct{ cause error }

func (f fatal) Error() string { return f.cause.Error() }

// Every returns a part that does it at once and then with pauses until ctx ends. A failure is logged, with what was to be done, and
// done again in its time.
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

// CountFailure counts a failure of work that no request waits for, by what was to be done; whoever calls it has logged it.
func (s *Service) CountFailure(what string) { s.failures.WithLabelValues(what).Inc() }

// rest waits and reports whether ctx goes on.
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
