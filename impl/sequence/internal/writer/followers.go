package writer

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// lookPause is the time between two checks for commits of other replicas, which send no notification.
const lookPause = time.Second

// Followers wakes the callers that follow a scope when something changes in it. Changed wakes them at once after a commit of this replica. Run
// finds the commits of other replicas. The zero value is ready for use.
type Followers struct {
	mu     sync.Mutex
	scopes map[string]*scopeSignal
}

// Ends returns the last position of each scope's feed.
type Ends func(ctx context.Context, scopes []string) (map[string]int64, error)

type scopeSignal struct {
	changed   chan struct{} // closed at the next change
	followers int
	known     int64 // the lowest position from which a caller has followed
}

// Follow returns a channel that is closed when the scope changes beyond a position. The caller must call done in the end. A caller that follows first and
// reads then misses no change.
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

// Changed wakes the callers that follow the scope.
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

// Run checks once a second, until ctx ends, whether other replicas have committed changes in the followed scopes. One check covers all of these
// scopes. It logs when the check begins to fail and when it works again.
func (f *Followers) Run(ctx context.Context, ends Ends, log *slog.Logger) error {
	ticks := time.NewTicker(lookPause)
	defer ticks.Stop()
	l := poller{of: f, ends: ends, log: log}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			l.look(ctx)
		}
	}
}

// poller makes the checks of Run, and remembers whether they fail.
type poller struct {
	of      *Followers
	ends    Ends
	log     *slog.Logger
	failing bool // the last check failed, and that was logged
}

func (l *poller) look(ctx context.Context) {
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

// look wakes the callers that follow a scope whose feed has gone beyond the lowest position of the callers.
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
