// Package enginekey holds the API key of the search engine. The key is refreshed from its source, read for each request, and never written
// to a log or an error.
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

// Source reads the key from where it is stored.
type Source interface {
	// Key returns the current key.
	Key(ctx context.Context) (Key, error)
}

// Key is a key and the version of its secret. A key from a file has version 0.
type Key struct {
	Text    string
	Version int64
}

// ErrAbsent reports that no key exists yet.
var ErrAbsent = errors.New("there is no key for the search engine yet")

// Watcher is a Source that can wait for a new version.
type Watcher interface {
	Source
	// Watch waits until the key may have a version other than known, but not for long, and returns the current version.
	Watch(ctx context.Context, known int64) (version int64, err error)
}

// overlap is how long the previous key remains usable after a change. By then every node of the engine has the current one.
const overlap = 10 * time.Minute

// held is the current key, and the previous one until a time.
type held struct {
	Key
	previous string
	until    time.Time
}

// Holder keeps the current key in memory, and the previous one for a while. It is safe for concurrent use. The zero value is not usable.
type Holder struct {
	source Source
	key    atomic.Pointer[held]
	flight singleflight.Group
}

// New returns a Holder without a key.
func New(source Source) *Holder { return &Holder{source: source} }

// Key returns the current key, or "" before the first successful Refresh.
func (h *Holder) Key() string {
	if k := h.key.Load(); k != nil {
		return k.Text
	}
	return ""
}

// Previous returns the previous key while some nodes of the engine may not have the current one yet. Otherwise it returns "".
func (h *Holder) Previous() string {
	if k := h.key.Load(); k != nil && time.Now().Before(k.until) {
		return k.previous
	}
	return ""
}

// Version returns the version of the current key, or 0 if it has none.
func (h *Holder) Version() int64 {
	if k := h.key.Load(); k != nil {
		return k.Version
	}
	return 0
}

// Accepts compares a key with the current one in constant time. It returns false if there is no key.
func (h *Holder) Accepts(presented string) bool {
	k := h.Key()
	return k != "" && subtle.ConstantTimeCompare([]byte(k), []byte(presented)) == 1
}

// Ready returns ErrAbsent if there is no key.
func (h *Holder) Ready() error {
	if h.Key() == "" {
		return ErrAbsent
	}
	return nil
}

// Refresh reads the key from the source. If that fails, the current key remains in use. Concurrent callers share one read.
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

// keep makes a key the current one. Refresh never calls it concurrently.
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

// RefreshEvery is the interval of polling, for sources that can't be watched and after a watch has failed.
const RefreshEvery = 30 * time.Second

// firstPause is the pause before the first key is there, and after a failed watch. It doubles up to RefreshEvery.
const firstPause = time.Second

// Run keeps the key up to date until ctx ends. It starts once there is a key. If the source can be watched, changes are noticed at once.
// report is called with each error.
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
			if pause = firstPause; h.Version() == before && !rest(ctx, pause) { // an immediate response without a change must not cause a busy loop
				return nil
			}
			continue
		}
		if ctx.Err() == nil && err != nil && pause > firstPause { // the first failure may be a restart, and the key is polled
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

// watch waits once, and reads the key if the version has changed.
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

// rest waits for d. It returns false if ctx ends.
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
