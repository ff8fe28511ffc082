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

// How long a write waits while a collection takes the place of another, and between two looks.
const (
	heldLimit = 20 * time.Second
	heldPause = 20 * time.Millisecond
)

// WriterRows is what a write reads and notes.
type WriterRows interface {
	VersionRows
	// Mapping reads the mapping as the database has it now. Error: owner.ErrGone.
	Mapping(ctx context.Context, c *owner.Collection) (Mapping, error)
	// Note notes documents before they are written.
	Note(ctx context.Context, reindex string, documents []string) error
	// EndHold lets writes go on where whoever holds them has lost the lease.
	EndHold(ctx context.Context, c *owner.Collection) error
}

// Writer changes documents of collections. It is safe for concurrent use.
type Writer struct {
	engine  *engine.Engine
	rows    WriterRows
	replica *Replica
}

// NewWriter returns a Writer whose writes the replica tells of.
func NewWriter(e *engine.Engine, rows WriterRows, r *Replica) *Writer {
	return &Writer{engine: e, rows: rows, replica: r}
}

// Sync is engine.Engine.Sync in the collection of the engine that is the current one.
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

// SyncVersions is Sync, and tells versions. In a collection that keeps them each item is of the version that its document has when it is its turn, and a later item of one document comes after
// an earlier one; where some were written and the others can't be, those have that for their outcome.
func (w *Writer) SyncVersions(ctx context.Context, c *owner.Collection, items []engine.Item) (results []Result, err error) {
	err = w.write(ctx, c, idsOf(items...), func(ctx context.Context, m Mapping) (err error) {
		results, err = w.change(ctx, c, m, items, func(ctx context.Context, items []engine.Item) ([]engine.Outcome, error) {
			return w.engine.Sync(ctx, m.Physical, items)
		})
		return err
	})
	return results, err
}

// change writes items.
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

// Put makes or replaces a document, and returns its version where the collection keeps them; see engine.Engine.Put.
func (w *Writer) Put(ctx context.Context, c *owner.Collection, item engine.Item) (version int64, err error) {
	return w.single(ctx, c, item, w.engine.Put)
}

// Patch changes fields of a document, and returns its version where the collection keeps them; see engine.Engine.Patch.
func (w *Writer) Patch(ctx context.Context, c *owner.Collection, item engine.Item) (version int64, err error) {
	return w.single(ctx, c, item, w.engine.Patch)
}

// Remove deletes a document; see engine.Engine.Remove.
func (w *Writer) Remove(ctx context.Context, c *owner.Collection, item engine.Item) error {
	_, err := w.single(ctx, c, item, w.engine.Remove)
	return err
}

// DeleteWhere deletes the documents that a filter lets through; see engine.Engine.DeleteWhere. Where writes are noted it first reads which they are: what another
// write adds to them meanwhile that one has noted.
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

// ids are the documents that a write is about to change.
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

// write carries out one write in the collection of the engine that is the current one, after it was noted where that is asked for.
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
	ctx, cancel := context.WithTimeout(ctx, WriteLife) // a replica that is taken for dead has none under way
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
