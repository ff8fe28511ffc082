package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
)

// Checked is the result of a comparison of the indexes with the documents.
type Checked struct {
	Collections, Documents int
	// Faults are the collections whose index does not match their documents.
	Faults []Fault
}

// Fault is a collection whose index does not match its documents.
type Fault struct {
	Collection string
	// Lacking documents are stored but not in the index. Excess documents are in the index but not stored, or are in it twice. Different
	// documents have other values in the index than in the store.
	Lacking, Excess, Different int
	// Damaged reports that the index can't be read. It is rebuilt at the next search.
	Damaged bool
}

// Check compares every stored document with the indexes. Writes to a collection wait while it is being compared. The error is one of the
// store, or that of ctx.
func (e *Engine) Check(ctx context.Context) (out Checked, err error) {
	if err := e.WaitReady(ctx); err != nil {
		return out, err
	}
	for _, c := range e.Collections() {
		documents, fault, err := c.check(ctx)
		if errors.Is(err, ErrCollection) { // dropped in the meantime
			continue
		}
		if err != nil {
			return out, fmt.Errorf("compare the index of a collection: %w", err)
		}
		out.Collections++
		out.Documents += documents
		if fault != nil {
			out.Faults = append(out.Faults, *fault)
		}
	}
	return out, nil
}

// check compares the collection's index with its documents. fault is nil if they match.
func (c *Collection) check(ctx context.Context) (documents int, fault *Fault, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.dropped {
		return 0, nil, ErrCollection
	}
	if c.stale.Load() {
		if err := c.anew(errStale); err != nil {
			return 0, nil, err
		}
	}
	err = c.store.Read(c.key, func(tx *docstore.Tx) (err error) {
		documents, err = tx.Count()
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	compared, err := c.idx().Compare(ctx, c.changesFor)
	if errors.Is(err, index.ErrDamaged) {
		return documents, &Fault{Collection: c.Name(), Damaged: true}, nil
	}
	f := Fault{Collection: c.Name(), Lacking: documents - compared.Held, Excess: compared.Excess, Different: compared.Different}
	if err != nil || f.Lacking == 0 && f.Excess == 0 && f.Different == 0 {
		return documents, nil, err
	}
	return documents, &f, nil
}

// changesFor reads documents for a comparison. It is an index.Read.
func (c *Collection) changesFor(seqs []uint64) (docs []index.Change, taken int, err error) {
	err = c.store.Read(c.key, func(tx *docstore.Tx) error {
		for bytes := 0; taken < len(seqs) && bytes < ChunkBytes; taken++ {
			seq := seqs[taken]
			stored := tx.Get(seq)
			if stored == nil {
				continue
			}
			bytes += len(stored)
			typed, err := c.typed(stored)
			if err != nil {
				return err
			}
			docs = append(docs, index.Change{Seq: seq, Schema: c.schema.Load(), New: typed})
		}
		return nil
	})
	return docs, taken, err
}
