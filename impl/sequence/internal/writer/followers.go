package writer

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// lookPause is between two looks for what other replicas have committed: nobody tells of it.
const lookPause = time.Second

// Followers are told when something has changed in the scope that they follow: at once by Changed, of what other replicas commit by Run. The
// zero value is ready.
type Followers struct {
	mu     sync.Mutex
	scopes map[string]*scopeSignal
}

// Ends returns the last position of each scope's feed.
type Ends func(ctx context.Context, scopes []string) (map[string]int64, error)

type scopeSignal struct {
	changed   chan struct{} // closed at the next change
	followers int
	known     int64 // the lowest position that a follower knows
}

// Follow returns a channel that is closed at the next change in the scope behind the position; done ends the interest in it. Who follows first and
// reads then misses nothing.
func (f *Followers) Follow(scope string, after int64) (changed <-chan struct{}, done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.scopes == nil {
		f.scopes = map[string]*scopeSignal{}
	}
	s := f.scopes[scope]
	if s == nil {
		s = &scopeSignal{changed: make(chan struct{}), known: after}
		f.scopes[scope] = s
	}
	s.followers++
	s.known = min(s.known, after)
	return s.changed, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s.followers--; s.followers == 0 && f.scopes[scope] == s {
			delete(f.scopes, scope)
		}
	}
}

// Changed wakes those who follow the scope.
func (f *Followers) Changed(scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake(scope)
}

func (f *Followers) wake(scope string) {
	if s := f.scopes[scope]; s != nil {
		close(s.changed)
		delete(f.scopes, scope)
	}
}

// Run looks once a second for what other replicas have committed in the scopes that are followed, in one statement for all of them, until ctx
// ends. It logs when it begins to fail and when it no longer does.
func (f *Followers) Run(ctx context.Context, ends Ends, log *slog.Logger) error {
	ticks := time.NewTicker(lookPause)
	defer ticks.Stop()
	l := lookout{of: f, ends: ends, log: log}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			l.look(ctx)
		}
	}
}

// lookout looks again and again.
type lookout struct {
	of      *Followers
	ends    Ends
	log     *slog.Logger
	failing bool // the last look failed, and it was logged
}

func (l *lookout) look(ctx context.Context) {
	err := l.of.look(ctx, l.ends)
	if ctx.Err() != nil || (err != nil) == l.failing {
		return
	}
	if l.failing = err != nil; l.failing {
		l.log.ErrorContext(ctx, "changes of other replicas can't be seen", "error", err)
	} else {
		l.log.InfoContext(ctx, "changes of other replicas are seen again")
	}
}

// look wakes the followers of the scopes that have come further than one of them knows.
func (f *Followers) look(ctx context.Context, ends Ends) error {
	f.mu.Lock()
	scopes := slices.Collect(maps.Keys(f.scopes))
	f.mu.Unlock()
	if len(scopes) == 0 {
		return nil
	}
	last, err := ends(ctx, scopes)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for scope, position := range last {
		if s := f.scopes[scope]; s != nil && s.known < position {
			f.wake(scope)
		}
	}
	return nil
}
