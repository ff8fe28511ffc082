// Package enginekey holds the API key of the search engine: read anew from where it is kept, used for each request, never
// written to a log or an error.
package enginekey

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// Source reads the key from where it is kept.
type Source interface {
	// Key returns the current key.
	Key(ctx context.Context) (Key, error)
}

// Key is a key with the version of the secret that it is; a file has none, 0.
type Key struct {
	Text    string
	Version int64
}

// ErrAbsent says that there is no key yet.
var ErrAbsent = errors.New("there is no key for the search engine yet")

// Watcher is a Source that can be waited for.
type Watcher interface {
	Source
	// Watch waits until the key may be of another version than the known one, for a while, and returns the current version.
	Watch(ctx context.Context, known int64) (version int64, err error)
}

// overlap is how long the key before is still of use: by then every node of the engine has the current one.
const overlap = 10 * time.Minute

// held is what a Holder keeps: a key, and the one before until a time.
type held struct {
	Key
	previous string
	until    time.Time
}

// Holder keeps the current key in memory, and for a while the one before. It is safe for concurrent use; the zero value is not usable.
type Holder struct {
	source Source
	key    atomic.Pointer[held]
	flight singleflight.Group
}

// New returns a holder without a key.
func New(source Source) *Holder { return &Holder{source: source} }

// Key returns the current key, empty before the first Refresh.
func (h *Holder) Key() string {
	if k := h.key.Load(); k != nil {
		return k.Text
	}
	return ""
}

// Previous returns the key before the current one, as long as the engine may not have taken that everywhere yet; otherwise "".
func (h *Holder) Previous() string {
	if k := h.key.Load(); k != nil && time.Now().Before(k.until) {
		return k.previous
	}
	return ""
}

// Version returns the version of the current key, 0 where it has none.
func (h *Holder) Version() int64 {
	if k := h.key.Load(); k != nil {
		return k.Version
	}
	return 0
}

// Accepts compares in constant time. Without a key nothing is accepted.
func (h *Holder) Accepts(presented string) bool {
	k := h.Key()
	return k != "" && subtle.ConstantTimeCompare([]byte(k), []byte(presented)) == 1
}

// Ready says that there is a key.
func (h *Holder) Ready() error {
	if h.Key() == "" {
		return ErrAbsent
	}
	return nil
}

// Refresh reads the key anew. When that fails the last key stays in use. Of many callers at once one reads.
func (h *Holder) Refresh(ctx context.Context) error {
	_, err, _ := h.flight.Do("", func() (any, error) {
		k, err := h.source.Key(ctx)
		if err != nil {
			return nil, fmt.Errorf("read key of the search engine: %w", err)
		}
		if k.Text == "" {
			return nil, ErrAbsent
		}
		h.keep(k)
		return nil, nil
	})
	return err
}

// keep makes a key the current one. Only one Refresh at a time comes here.
func (h *Holder) keep(k Key) {
	now := held{Key: k}
	if before := h.key.Load(); before != nil {
		now.previous, now.until = before.previous, before.until
		if before.Text != k.Text {
			now.previous, now.until = before.Text, time.Now().Add(overlap)
		}
	}
	h.key.Store(&now)
}

// RefreshEvery is how often a changed key is looked for where it can't be waited for, or that fails.
const RefreshEvery = 30 * time.Second

// firstPause is between two looks for the first key, and between a watch that failed and the next; it doubles up to RefreshEvery.
const firstPause = time.Second

// Run keeps the key up to date until ctx ends, from when there is one: at once where the source can be waited for. report is told of each failure.
func (h *Holder) Run(ctx context.Context, report func(error)) error {
	for h.key.Load() == nil {
		if !rest(ctx, firstPause) {
			return nil
		}
	}
	w, watches := h.source.(Watcher)
	for pause := firstPause; ctx.Err() == nil; {
		var err error
		before := h.Version()
		if watches {
			err = h.watch(ctx, w)
		}
		if watches && err == nil {
			if pause = firstPause; h.Version() == before && !rest(ctx, pause) { // an answer that comes at once and changes nothing must not be asked for without end
				return nil
			}
			continue
		}
		if ctx.Err() == nil && err != nil && pause > firstPause { // the first one may be a restart, and the key is read anew
			report(err)
		}
		if !watches {
			pause = RefreshEvery
		}
		if !rest(ctx, pause) {
			return nil
		}
		pause = min(2*pause, RefreshEvery)
		if err := h.Refresh(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
	}
	return nil
}

// watch waits once, and reads the key when it has another version.
func (h *Holder) watch(ctx context.Context, w Watcher) error {
	known := h.Version()
	version, err := w.Watch(ctx, known)
	if err != nil {
		return fmt.Errorf("wait for another key of the search engine: %w", err)
	}
	if version == known {
		return nil
	}
	return h.Refresh(ctx)
}

// rest waits, and reports whether ctx goes on.
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
