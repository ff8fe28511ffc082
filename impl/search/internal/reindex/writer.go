package reindex

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

// heldLimit is how long a write waits for a swap, and heldPause the pause between two attempts.
const (
	heldLimit = 20 * time.Second
	heldPause = 20 * time.Millisecond
)

// WriterRows is the storage of a Writer.
type WriterRows interface {
	VersionRows
	// Mapping reads the mapping from the database. Error: owner.ErrGone.
	Mapping(ctx context.Context, c *owner.Collection) (Mapping, error)
	// Note notes documents before they are written.
	Note(ctx context.Context, reindex string, documents []string) error
	// EndHold lets writes continue if the worker that holds them has lost its lease.
	EndHold(ctx context.Context, c *owner.Collection) error
}

// Writer writes documents of collections. It is safe for concurrent use.
type Writer struct {
	engine  *engine.Engine
	rows    WriterRows
	replica *Replica
}

// NewWriter returns a Writer whose writes are tracked by the replica.
func NewWriter(e *engine.Engine, rows WriterRows, r *Replica) *Writer {
	return &Writer{engine: e, rows: rows, replica: r}
}

// Sync is engine.Engine.Sync for the collection of the engine that is current.
func (w *Writer) Sync(ctx context.Context, c *owner.Collection, items []engine.Item) ([]engine.Outcome, error) {
	results, err := w.SyncVersions(ctx, c, items)
	if err != nil {
		return nil, err
	}
	outcomes := make([]engine.Outcome, len(results))
	for i, r := range results {
		outcomes[i] = r.Outcome
	}
	return outcomes, nil
}

// SyncVersions is Sync, and returns versions. In a collection that keeps versions, the condition of each item is checked against the
// version that its document has at that point, after the earlier items of the same document. If some items were written and the rest can't
// be, the rest have that error as their outcome.
func (w *Writer) SyncVersions(ctx context.Context, c *owner.Collection, items []engine.Item) (results []Result, err error) {
	err = w.write(ctx, c, idsOf(items...), func(ctx context.Context, m Mapping) (err error) {
		results, err = w.change(ctx, c, m, items, func(ctx context.Context, items []engine.Item) ([]engine.Outcome, error) {
			return w.engine.Sync(ctx, m.Physical, items)
		})
		return err
	})
	return results, err
}

// change writes items, with versions if the collection keeps them.
func (w *Writer) change(ctx context.Context, c *owner.Collection, m Mapping, items []engine.Item, do send) ([]Result, error) {
	if m.Versioned {
		return w.versioned(ctx, c, items, do)
	}
	outcomes, err := do(ctx, items)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(outcomes))
	for i, o := range outcomes {
		results[i].Outcome = o
	}
	return results, nil
}

// single writes one document.
func (w *Writer) single(ctx context.Context, c *owner.Collection, item engine.Item, do func(ctx context.Context, physical string, item engine.Item) error) (version int64, err error) {
	var results []Result
	err = w.write(ctx, c, idsOf(item), func(ctx context.Context, m Mapping) (err error) {
		results, err = w.change(ctx, c, m, []engine.Item{item}, one(func(ctx context.Context, item engine.Item) error { return do(ctx, m.Physical, item) }))
		return err
	})
	if err != nil {
		return 0, err
	}
	return results[0].Version, results[0].Outcome
}

// Put creates or replaces a document. It returns its version if the collection keeps versions. See engine.Engine.Put.
func (w *Writer) Put(ctx context.Context, c *owner.Collection, item engine.Item) (version int64, err error) {
	return w.single(ctx, c, item, w.engine.Put)
}

// Patch changes fields of a document. It returns its version if the collection keeps versions. See engine.Engine.Patch.
func (w *Writer) Patch(ctx context.Context, c *owner.Collection, item engine.Item) (version int64, err error) {
	return w.single(ctx, c, item, w.engine.Patch)
}

// Remove deletes a document; see engine.Engine.Remove.
func (w *Writer) Remove(ctx context.Context, c *owner.Collection, item engine.Item) error {
	_, err := w.single(ctx, c, item, w.engine.Remove)
	return err
}

// DeleteWhere deletes the documents that match a filter; see engine.Engine.DeleteWhere. While writes are noted, it first reads which
// documents match. A document that another write makes match after that is noted by that write.
func (w *Writer) DeleteWhere(ctx context.Context, c *owner.Collection, filter string) (n int64, err error) {
	which := func(ctx context.Context, physical string) ([]string, error) { return w.fitting(ctx, physical, filter) }
	err = w.write(ctx, c, which, func(ctx context.Context, m Mapping) (err error) {
		if m.Versioned {
			n, err = w.deleteVersioned(ctx, c, m, filter)
			return err
		}
		n, err = w.engine.DeleteWhere(ctx, m.Physical, filter)
		return err
	})
	return n, err
}

// ids returns the documents that a write is about to change.
type ids func(ctx context.Context, physical string) ([]string, error)

func idsOf(items ...engine.Item) ids {
	return func(context.Context, string) ([]string, error) {
		all := make([]string, len(items))
		for i, item := range items {
			all[i] = item.Stored()
		}
		return all, nil
	}
}

func (w *Writer) fitting(ctx context.Context, physical, filter string) (all []string, err error) {
	export, err := w.engine.Export(ctx, physical, filter, []string{"id"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, export.Close()) }()
	for {
		line, err := export.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		id, err := engine.IDOf(line)
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
}

// write carries out one write on the collection of the engine that is current. It first notes the documents if a reindex requires it, and
// waits while writes are held.
func (w *Writer) write(ctx context.Context, c *owner.Collection, which ids, do func(ctx context.Context, m Mapping) error) error {
	for waited := time.Now(); ; {
		held, err := w.attempt(ctx, c, which, do)
		if err != nil || !held {
			return err
		}
		if time.Since(waited) > heldLimit || !rest(ctx, heldPause, nil) {
			return problem.New(problem.EngineUnavailable, "The collection is being replaced by its reindex.").WithRetryAfter(2 * time.Second)
		}
	}
}

func (w *Writer) attempt(ctx context.Context, c *owner.Collection, which ids, do func(ctx context.Context, m Mapping) error) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, WriteLife) // the writes of a replica that is considered dead have ended
	defer cancel()
	end, err := w.replica.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	m, err := w.rows.Mapping(ctx, c)
	switch {
	case errors.Is(err, owner.ErrGone):
		return false, problem.New(problem.NotFound, "There is no such collection.").Wrap(err)
	case err != nil:
		return false, err
	case m.Held:
		return true, w.rows.EndHold(ctx, c)
	case m.Noting != "":
		documents, err := which(ctx, m.Physical)
		if err == nil {
			err = w.rows.Note(ctx, m.Noting, documents)
		}
		if err != nil {
			return false, fmt.Errorf("note what is written: %w", err)
		}
	}
	return false, do(ctx, m)
}
