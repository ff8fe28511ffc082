// Package embedded is a search engine in the process. Package api serves the HTTP API of Typesense over it, so that one client code path
// (typesense-go) works with a real Typesense and without one. It is made from the public documentation alone and is meant
// for first steps and small sites: its caps are stated (Limits) and what it can't do it refuses by name with 422.
package embedded

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
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

// Open opens the engine on its data directory. The indexes are opened, brought up to date or built anew in the background: until
// that is done (see WaitReady) requests are answered 503. It fails with ErrLocked when another process uses the directory.
func Open(cfg Config) (*Engine, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := emptied(cfg.Dir); err != nil {
		return nil, fmt.Errorf("open embedded engine: %w", err)
	}
	store, err := docstore.Open(cfg.Dir, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("open embedded engine: %w", err)
	}
	kept, err := settings.Open(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open embedded engine: %w", errors.Join(err, store.Close()))
	}
	e := &Engine{
		dir: cfg.Dir, store: store, settings: kept, log: cfg.Log, limits: cfg.Limits.withDefaults(), flush: cfg.FlushChanges, clock: cfg.Clock,
		loaded: make(chan struct{}), collections: make(map[string]*Collection),
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

// emptied refuses a file of documents without a byte beside indexes of collections: it was cut off, or is being copied to its place, and would be taken for
// a new one.
func emptied(dir string) error {
	for _, name := range []string{docstore.FileName, docstore.FileName + "-wal"} {
		if file, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) && name != docstore.FileName {
			continue
		} else if err != nil || file.Size() > 0 {
			return nil // docstore.Open has more to say
		}
	}
	if indexes, err := os.ReadDir(filepath.Join(dir, indexDir)); err != nil || len(indexes) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s is empty, and there are indexes of its documents", docstore.ErrDamaged, docstore.FileName)
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
		s = s.With(e.dictionary)
		if err := s.MissingDictionary(); err != nil { // the settings were lost: importing it again makes the index anew
			e.log.Warn("embedded engine: words of a collection are not stemmed", "collection", s.Name, "reason", err)
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
	for _, c := range e.Collections() {
		if err := c.idx().Close(); err != nil { // the next start makes up for it from the documents
			e.log.Warn("embedded engine: an index can't be saved", "collection", c.schema.Load().Name, "error", err)
		}
	}
	return e.store.Close()
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

// Collection finds a collection by its name or an alias. A collection wins over an alias of the same name.
func (e *Engine) Collection(name string) (*Collection, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, ok := e.collections[name]
	if ok {
		return c, nil
	}
	if body, ok := e.settings.Get(rules.KindAliases, name); ok {
		var a rules.Alias
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, fmt.Errorf("read alias: %w", err)
		}
		if c, ok = e.collections[a.Collection]; ok {
			return c, nil
		}
	}
	return nil, ErrCollection
}

// Exists says whether a collection, not an alias, has the name.
func (e *Engine) Exists(name string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.collections[name] != nil
}

// Collections returns the collections, the newest first.
func (e *Engine) Collections() []*Collection {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]*Collection, 0, len(e.collections))
	for _, c := range e.collections {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Collection) int { return cmp.Compare(b.key, a.key) })
	return list
}

// Create makes a collection.
func (e *Engine) Create(s *schema.Schema) (*Collection, error) {
	e.creating.Lock()
	defer e.creating.Unlock()
	if e.Exists(s.Name) {
		return nil, &schema.Error{Status: http.StatusConflict, Text: fmt.Sprintf("A collection with name `%s` already exists.", s.Name)}
	}
	if e.Stats().Collections >= e.limits.Collections {
		return nil, tooMany("collections", e.limits.Collections)
	}
	if err := e.dropRules(s.Name); err != nil { // of an earlier one, when the process ended before they were dropped
		return nil, err
	}
	s = s.With(e.dictionary)
	if err := s.MissingDictionary(); err != nil {
		return nil, err
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
	e.mu.Lock()
	defer e.mu.Unlock()
	e.collections[s.Name] = c
	return c, nil
}

// Clone makes a collection with the schema, the synonyms and the overrides of another, and none of its documents.
func (e *Engine) Clone(source, name string) (*Collection, error) {
	from, err := e.Collection(source)
	if err != nil {
		return nil, err
	}
	s, err := from.schema.Load().Renamed(name)
	if err != nil {
		return nil, err
	}
	c, err := e.Create(s)
	if err != nil {
		return nil, err
	}
	return c, e.settings.Update(func(change *settings.Change) error {
		for _, kind := range []string{rules.KindSynonyms, rules.KindOverrides} {
			change.CopyAll(settings.Kind(kind, from.Name()), settings.Kind(kind, name))
		}
		return nil
	})
}

// Drop removes a collection and returns it as it was.
func (e *Engine) Drop(name string) ([]byte, error) {
	c, err := e.Collection(name)
	if err != nil {
		return nil, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.dropped {
		return nil, ErrCollection
	}
	last, err := c.Render()
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
	err = e.dropRules(c.Name()) // before the name is free: a new collection may get rules of its own
	e.mu.Lock()
	delete(e.collections, c.Name())
	e.mu.Unlock()
	return last, err
}

// dropRules removes the rules of a collection, if there are any.
func (e *Engine) dropRules(collection string) error {
	kinds := []string{settings.Kind(rules.KindSynonyms, collection), settings.Kind(rules.KindOverrides, collection)}
	if !slices.ContainsFunc(kinds, func(kind string) bool { return len(e.settings.List(kind)) > 0 }) {
		return nil
	}
	return e.settings.Update(func(change *settings.Change) error {
		for _, kind := range kinds {
			change.DeleteAll(kind)
		}
		return nil
	})
}
