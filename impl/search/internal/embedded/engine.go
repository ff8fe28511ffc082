// Package embedded is a search engine that runs inside the process. Package api serves Typesense's HTTP API over it, so that the same
// client code (typesense-go) works with and without a real Typesense. It was built from the public documentation alone, and is meant for
// first steps and small sites. Its limits are documented (Limits), and it refuses unsupported features by name with status 422.
package embedded

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
	"github.com/fountainai/fountain/internal/clock"
)

// Config configures an engine.
type Config struct {
	// Dir is the data directory. Only one process may use it at a time.
	Dir string
	// Log receives messages for the operator; nil discards them.
	Log *slog.Logger
	// Limits are the limits of the engine; zero fields take their defaults.
	Limits Limits
	// FlushChanges is index.Config.FlushChanges: how many changed documents the head of an index holds before they become a segment on
	// disk. 0 is its default.
	FlushChanges int
	// Clock is used for the creation times of collections; nil is the system clock.
	Clock clock.Clock
}

// Engine is an open search engine.
type Engine struct {
	dir      string
	store    *docstore.Store
	settings *settings.Store
	log      *slog.Logger
	limits   Limits
	flush    int
	clock    clock.Clock

	dictionaries sync.Map // of stemming, by name: *text.Dictionary

	documents atomic.Int64
	loaded    chan struct{}
	loadError error // set before loaded is closed
	stop      context.CancelFunc

	// creating serialises creations. It exists beside mu, which searches wait for, so that mu is not held during disk writes.
	creating    sync.Mutex
	mu          sync.RWMutex
	collections map[string]*Collection
}

// Settings returns the store of everything other than documents.
func (e *Engine) Settings() *settings.Store { return e.settings }

// Dir returns the data directory.
func (e *Engine) Dir() string { return e.dir }

// Now returns the time of the engine's clock.
func (e *Engine) Now() time.Time { return e.clock.Now() }

// Clock returns the engine's clock.
func (e *Engine) Clock() clock.Clock { return e.clock }

// Log returns the log for the operator.
func (e *Engine) Log() *slog.Logger { return e.log }

// Full returns the name of the resource that ran out at the last write, or "".
func (e *Engine) Full() string {
	if e.store.DiskFull() {
		return "OUT_OF_DISK"
	}
	return ""
}

// Limits returns the limits in force.
func (e *Engine) Limits() Limits { return e.limits }

// Stats describes the size of the engine's data.
type Stats struct {
	Collections, Documents int
	// IndexBytes is the estimated memory of the indexes.
	IndexBytes int64
}

// Stats returns how much data the engine holds.
func (e *Engine) Stats() Stats {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s := Stats{Collections: len(e.collections), Documents: int(e.documents.Load())}
	for _, c := range e.collections {
		s.IndexBytes += c.idx().Stats().Bytes
	}
	return s
}

func (e *Engine) spareMemory() int64 { return e.limits.MemoryBytes - e.Stats().IndexBytes }
