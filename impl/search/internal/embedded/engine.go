// Package embedded is a search engine in the process. Package api serves the HTTP API of Typesense over it, so that one client code path
// (typesense-go) works with a real Typesense and without one. It is made from the public documentation alone and is meant
// for first steps and small sites: its caps are stated (Limits) and what it can't do it refuses by name with 422.
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

// Config is what an engine needs.
type Config struct {
	// Dir is the data directory; one process at a time may use it.
	Dir string
	// Log takes what the operator should know; nil discards it.
	Log *slog.Logger
	// Limits are the caps; zero fields take their defaults.
	Limits Limits
	// FlushChanges is index.Config.FlushChanges: how many changed documents the head of an index holds before they become a segment on disk. 0 is its default.
	FlushChanges int
	// Clock tells the time of collections' creation; nil is the system's.
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

	// creating makes creations one after the other: mu, for which searches wait, is not held while one waits for the disk.
	creating    sync.Mutex
	mu          sync.RWMutex
	collections map[string]*Collection
}

// Settings returns what is kept beside documents.
func (e *Engine) Settings() *settings.Store { return e.settings }

// Dir is the data directory.
func (e *Engine) Dir() string { return e.dir }

// Now is the time by the engine's clock.
func (e *Engine) Now() time.Time { return e.clock.Now() }

// Clock tells the engine's time.
func (e *Engine) Clock() clock.Clock { return e.clock }

// Log is where the operator looks.
func (e *Engine) Log() *slog.Logger { return e.log }

// Full names the resource that ran out at the last write, or is empty.
func (e *Engine) Full() string {
	if e.store.DiskFull() {
		return "OUT_OF_DISK"
	}
	return ""
}

// Limits returns the caps in force.
func (e *Engine) Limits() Limits { return e.limits }

// Stats describes the engine.
type Stats struct {
	Collections, Documents int
	// IndexBytes estimates the memory of the indexes.
	IndexBytes int64
}

// Stats tells how much the engine holds.
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
