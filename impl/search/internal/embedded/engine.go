// Package embedded is a search engine in the process that serves the HTTP API of Typesense, so that one client code path
// (typesense-go) works with a real Typesense and without one. It is made from the public documentation alone and is meant
// for first steps and small sites: its caps are stated (Limits) and what it can't do it refuses by name with 422.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/internal/admission"
	"github.com/fountainai/fountain/internal/clock"
)

// Errors of Open and Repair; match them with errors.Is.
var (
	// ErrLocked says that another process uses the data directory.
	ErrLocked = docstore.ErrLocked
	// ErrDamaged says that the store of the documents is broken. Repair brings back what can be read.
	ErrDamaged = docstore.ErrDamaged
	// ErrDiskFull says that the disk has no room.
	ErrDiskFull = docstore.ErrDiskFull
)

// Repaired tells what a repair brought back.
type Repaired = docstore.Repaired

// Repair makes a new store of what can be read of the damaged one in dir, the data directory of an engine that is not running, and keeps the
// old file beside it.
func Repair(dir string, log *slog.Logger) (Repaired, error) {
	r, err := docstore.Repair(dir, log)
	if err == nil && r.Kept != "" {
		err = os.RemoveAll(filepath.Join(dir, indexDir)) // it is made anew from the documents that were kept
	}
	return r, err
}

// Config is what an engine needs.
type Config struct {
	// Dir is the data directory; one process at a time may use it.
	Dir string
	// Key says whether a presented API key is the admin key. It must compare in constant time and may change its mind
	// between requests: a new key needs no restart. Nil refuses every key.
	Key func(presented string) bool
	// Log takes what the operator should know; nil discards it.
	Log *slog.Logger
	// Limits are the caps; zero fields take their defaults.
	Limits Limits
	// Clock tells the time of collections' creation; nil is the system's.
	Clock clock.Clock
}

// Engine is an open search engine. It implements http.Handler.
type Engine struct {
	dir    string
	store  *docstore.Store
	key    func(string) bool
	log    *slog.Logger
	limits Limits
	clock  clock.Clock
	gate   *admission.Gate // of searches, each of which keeps a processor busy

	documents atomic.Int64
	loaded    chan struct{}
	loadError error // set before loaded is closed
	stop      context.CancelFunc

	mu          sync.RWMutex
	collections map[string]*collection
}

// Open opens the engine on its data directory. The indexes are opened, brought up to date or built anew in the background: until
// that is done (see WaitReady) requests are answered 503. It fails with ErrLocked when another process uses the directory.
func Open(cfg Config) (*Engine, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	store, err := docstore.Open(cfg.Dir, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("open embedded engine: %w", err)
	}
	e := &Engine{
		dir: cfg.Dir, store: store, key: cfg.Key, log: cfg.Log, limits: cfg.Limits.withDefaults(), clock: cfg.Clock, gate: admission.New(runtime.GOMAXPROCS(0)),
		loaded: make(chan struct{}), collections: make(map[string]*collection),
	}
	if e.key == nil {
		e.key = func(string) bool { return false }
	}
	if e.clock == nil {
		e.clock = clock.System
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	go func() {
		defer close(e.loaded)
		if e.loadError = e.load(ctx); e.loadError != nil && ctx.Err() == nil {
			e.log.Error("embedded engine: the stored collections can't be loaded", "error", e.loadError)
		}
	}()
	return e, nil
}

func (e *Engine) load(ctx context.Context) error {
	stored, err := e.store.Collections()
	if err != nil {
		return err
	}
	if err := removeIndexes(e.dir, stored); err != nil {
		return err
	}
	for _, r := range stored {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := schema.Load(r.Schema)
		if err != nil {
			return err
		}
		c := newCollection(r.Key, s, e)
		if err := c.openIndex(); err != nil {
			return err
		}
		e.documents.Add(int64(c.idx().Stats().Documents))
		e.mu.Lock()
		e.collections[s.Name] = c
		e.mu.Unlock()
	}
	return nil
}

// WaitReady waits until the stored collections can be searched.
func (e *Engine) WaitReady(ctx context.Context) error {
	select {
	case <-e.loaded:
		return e.loadError
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ready says whether the stored collections can be searched.
func (e *Engine) Ready() error {
	select {
	case <-e.loaded:
		return e.loadError
	default:
		return errors.New("the collections are being loaded")
	}
}

// Prove commits a write to the store.
func (e *Engine) Prove() error { return e.store.Prove() }

// Close waits for transactions under way and releases the data directory. Requests must have ended before.
func (e *Engine) Close() error {
	e.stop()
	<-e.loaded
	for _, c := range e.sorted() {
		if err := c.idx().Close(); err != nil { // the next start makes up for it from the documents
			e.log.Warn("embedded engine: an index can't be saved", "collection", c.schema.Load().Name, "error", err)
		}
	}
	return e.store.Close()
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

func (e *Engine) collection(name string) (*collection, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, ok := e.collections[name]
	if !ok {
		return nil, errCollection
	}
	return c, nil
}

// sorted returns the collections, the newest first.
func (e *Engine) sorted() []*collection {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]*collection, 0, len(e.collections))
	for _, c := range e.collections {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *collection) int { return cmp.Compare(b.key, a.key) })
	return list
}

func (e *Engine) createCollection(s *schema.Schema) (*collection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.collections[s.Name]; taken {
		return nil, &schema.Error{Status: http.StatusConflict, Text: fmt.Sprintf("A collection with name `%s` already exists.", s.Name)}
	}
	if len(e.collections) >= e.limits.Collections {
		return nil, tooMany("collections", e.limits.Collections)
	}
	s.CreatedAt = e.clock.Now().Unix()
	stored, err := s.Render(-1)
	if err != nil {
		return nil, err
	}
	key, err := e.store.Create(stored)
	if err != nil {
		return nil, fmt.Errorf("store collection: %w", err)
	}
	c := newCollection(key, s, e)
	if err := c.emptyIndex(); err != nil {
		return nil, errors.Join(err, e.store.Drop(key))
	}
	e.collections[s.Name] = c
	return c, nil
}

// dropCollection removes a collection and returns it as it was.
func (e *Engine) dropCollection(name string) ([]byte, error) {
	c, err := e.collection(name)
	if err != nil {
		return nil, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.dropped {
		return nil, errCollection
	}
	last, err := c.render()
	if err != nil {
		return nil, err
	}
	if err := e.store.Drop(c.key); err != nil {
		return nil, fmt.Errorf("drop collection: %w", err)
	}
	c.dropped = true
	c.idx().Stop()
	if err := os.RemoveAll(c.indexDir()); err != nil {
		e.log.Warn("embedded engine: the index of a dropped collection can't be removed", "error", err)
	}
	e.documents.Add(-int64(c.idx().Stats().Documents))
	e.mu.Lock()
	delete(e.collections, name)
	e.mu.Unlock()
	return last, nil
}
