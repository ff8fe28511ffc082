package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// indexDir is the directory of all indexes in the data directory. Each collection has a subdirectory.
const indexDir = "index"

func (c *Collection) idx() *index.Segments { return c.index.Load() }

func (c *Collection) indexDir() string {
	return filepath.Join(c.dir, indexDir, strconv.FormatUint(c.key, 10))
}

func (c *Collection) indexConfig() index.Config {
	return index.Config{
		Dir: c.indexDir(), FlushChanges: c.flush, Log: c.log, Persisted: func(commit uint64) error { return c.store.Forget(c.key, commit) },
	}
}

// emptyIndex creates the index of a new collection.
func (c *Collection) emptyIndex() error {
	if err := index.Clear(c.indexDir()); err != nil {
		return err
	}
	c.index.Store(index.New(c.indexConfig()))
	return nil
}

// openIndex opens the collection's index and brings it up to date with the documents, which are authoritative. An index that is missing,
// damaged or of other documents is rebuilt.
func (c *Collection) openIndex() error {
	x, err := index.Open(c.indexConfig())
	if err == nil {
		err = c.catchUp(x)
	}
	switch {
	case err == nil:
		c.index.Store(x)
		return nil
	case errors.Is(err, docstore.ErrDamaged):
		return err
	}
	return c.anew(err)
}

// anew rebuilds the index from the documents, and logs the reason.
func (c *Collection) anew(reason error) error {
	_, last, err := c.store.Changes(c.key, math.MaxInt64)
	if err != nil {
		return err
	}
	if last > 0 { // otherwise nothing is lost
		c.log.Warn("embedded engine: an index is rebuilt from the documents", "collection", c.schema.Load().Name, "reason", reason)
	}
	return c.rebuild()
}

// errAhead reports that an index contains commits that the store does not have.
var errAhead = errors.New("the index is of another store")

// catchUp indexes the current state of the documents that were changed by commits after the index's last one.
func (c *Collection) catchUp(x *index.Segments) error {
	numbers, last, err := c.store.Changes(c.key, x.Commit())
	if err != nil {
		return err
	}
	if x.Commit() > last {
		return errAhead
	}
	for len(numbers) > 0 {
		chunk := numbers[:min(len(numbers), ChunkDocs)]
		numbers = numbers[len(chunk):]
		docs, err := c.bySeq(chunk)
		if err != nil {
			return err
		}
		var changes index.Batch
		for i, seq := range chunk {
			change := index.Change{Seq: seq, Schema: c.schema.Load()}
			if len(numbers) == 0 {
				change.Commit = last
			}
			held, err := x.Holds(seq)
			if err != nil {
				return err
			}
			if held {
				change.Old = &schema.Typed{}
			}
			if docs[i] != nil {
				if change.New, err = c.typed(docs[i]); err != nil {
					return err
				}
			}
			if change.Old != nil || change.New != nil {
				changes = append(changes, change)
			}
		}
		if err := x.Apply(changes); err != nil {
			return err
		}
	}
	return nil
}

// typed returns the typed values of a stored document.
func (c *Collection) typed(stored []byte) (*schema.Typed, error) {
	doc, err := schema.ParseDocument(stored)
	if err != nil {
		return nil, fmt.Errorf("read stored document: %w", err)
	}
	return typedOf(c.schema.Load(), doc), nil
}

// rebuild builds the index anew from the store. Searches use the old one until then. If it fails, the old index is stale: its files are
// gone, and the next search or write tries again. The caller holds c.writing.
func (c *Collection) rebuild() error {
	var fresh *index.Segments
	made := false
	defer func() { // also after a panic
		c.stale.Store(!made)
		if !made && fresh != nil {
			fresh.Stop() // otherwise its background work writes files below its successor
		}
	}()
	if old := c.idx(); old != nil {
		old.Stop()
	}
	fresh, err := index.Rebuild(c.indexConfig())
	if err == nil {
		err = c.fill(fresh)
	}
	if err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	c.index.Store(fresh)
	made = true
	return nil
}

// fill indexes all documents.
func (c *Collection) fill(fresh *index.Segments) error {
	_, last, err := c.store.Changes(c.key, math.MaxInt64)
	if err != nil {
		return err
	}
	for from, done := uint64(0), false; !done; {
		var changes index.Batch
		err := c.store.Read(c.key, func(tx *docstore.Tx) error {
			var err error
			from, done, err = tx.Scan(from, ChunkDocs, func(seq uint64, stored []byte) error {
				typed, err := c.typed(stored)
				changes = append(changes, index.Change{Seq: seq, Schema: c.schema.Load(), New: typed})
				return err
			})
			return err
		})
		if err == nil {
			err = fresh.Apply(changes)
		}
		if err != nil {
			return err
		}
	}
	fresh.Complete(last)
	return nil
}

// errStale reports that an index lacks writes that are in the store, or could not be rebuilt.
var errStale = errors.New("the index is not up to date")

// find searches the index. A stale or damaged index is first rebuilt.
func (c *Collection) find(ctx context.Context, plan index.Plan) (res index.Result, err error) {
	err = c.with(func(x *index.Segments) error {
		res, err = x.Search(ctx, plan)
		return err
	})
	return res, err
}

// with calls look with the index. A stale index is rebuilt before that. If look finds the index damaged, it is rebuilt and look is called
// again.
func (c *Collection) with(look func(x *index.Segments) error) error {
	x := c.idx()
	if c.stale.Load() {
		if err := c.heal(x, errStale); err != nil {
			return err
		}
		x = c.idx()
	}
	err := look(x)
	if !errors.Is(err, index.ErrDamaged) {
		return err
	}
	if err := c.heal(x, err); err != nil {
		return err
	}
	return look(c.idx())
}

// heal rebuilds a damaged index, unless another caller has done so.
func (c *Collection) heal(x *index.Segments, reason error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.idx() != x || c.dropped {
		return nil
	}
	return c.anew(reason)
}

// removeIndexes deletes the indexes of collections that no longer exist.
func removeIndexes(dir string, stored []docstore.Collection) error {
	known := make(map[string]bool)
	for _, c := range stored {
		known[strconv.FormatUint(c.Key, 10)] = true
	}
	entries, err := os.ReadDir(filepath.Join(dir, indexDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read directory of the indexes: %w", err)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			if err := os.RemoveAll(filepath.Join(dir, indexDir, e.Name())); err != nil {
				return fmt.Errorf("remove the index of a dropped collection: %w", err)
			}
		}
	}
	return nil
}
