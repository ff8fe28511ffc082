package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
	"github.com/fountainai/fountain/internal/clock"
)

// Errors of Open and Repair; match them with errors.Is.
var (
	// ErrLocked reports that another process uses the data directory.
	ErrLocked = docstore.ErrLocked
	// ErrDamaged reports that the store of the documents is damaged. Repair recovers what can be read.
	ErrDamaged = docstore.ErrDamaged
	// ErrDiskFull reports that the disk is full.
	ErrDiskFull = docstore.ErrDiskFull
)

// Repaired reports what a repair recovered.
type Repaired = docstore.Repaired

// Repair creates a new store from what can be read of the damaged one in dir, the data directory of an engine that is not running, and
// keeps the old file beside it.
func Repair(dir string, log *slog.Logger) (Repaired, error) {
	r, err := docstore.Repair(dir, log)
	if err == nil && r.Kept != "" {
		err = os.RemoveAll(filepath.Join(dir, indexDir)) // it is rebuilt from the recovered documents
	}
	return r, err
}

// Open opens the engine on its data directory. The indexes are opened, brought up to date or rebuilt in the background. Until that is done
// (see WaitReady), requests are answered with 503. Open fails with ErrLocked if another process uses the directory.
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

// emptied refuses an empty documents file beside existing indexes. Such a file was truncated, or is still being copied, and would otherwise
// be taken for a new store.
func emptied(dir string) error {
	for _, name := range []string{docstore.FileName, docstore.FileName + "-wal"} {
		if file, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) && name != docstore.FileName {
			continue
		} else if err != nil || file.Size() > 0 {
			return nil // docstore.Open reports more
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
		if err := s.MissingDictionary(); err != nil { // the settings were lost; importing the dictionary again rebuilds the index
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

// Ready returns nil once the stored collections can be searched.
func (e *Engine) Ready() error {
	select {
	case <-e.loaded:
		return e.loadError
	default:
		return errors.New("the collections are being loaded")
	}
}

// Prove commits a test write to the store.
func (e *Engine) Prove() error { return e.store.Prove() }

// Close waits for transactions under way and releases the data directory. All requests must have ended before.
func (e *Engine) Close() error {
	e.stop()
	<-e.loaded
	for _, c := range e.Collections() {
		if err := c.idx().Close(); err != nil { // the next start recovers from the documents
			e.log.Warn("embedded engine: an index can't be saved", "collection", c.schema.Load().Name, "error", err)
		}
	}
	return e.store.Close()
}
