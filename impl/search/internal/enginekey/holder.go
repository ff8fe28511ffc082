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

// Holder keeps the current key in memory. It is safe for concurrent use; the zero value is not usable.
type Holder struct {
	source Source
	key    atomic.Pointer[Key]
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
		h.key.Store(&k)
		return nil, nil
	})
	return err
}

// RefreshEvery is how often a changed key is looked for.
const RefreshEvery = 30 * time.Second

// Run refreshes until ctx ends. report is told of each failure.
func (h *Holder) Run(ctx context.Context, report func(error)) error {
	ticker := time.NewTicker(RefreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := h.Refresh(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}
