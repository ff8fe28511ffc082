package embedded

import (
	"context"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// OverFilter carries out a write for each document that matches a filter, and counts the successes. Each chunk is a transaction of its own.
func (e *Engine) OverFilter(ctx context.Context, c *Collection, text string, change func(id string) Write) (int, error) {
	found, err := e.Select(ctx, c, text)
	if err != nil {
		return 0, err
	}
	done := 0
	for len(found) > 0 {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		chunk := found[:min(len(found), ChunkDocs)]
		found = found[len(chunk):]
		writes, err := c.identify(chunk, change)
		if err != nil {
			return done, err
		}
		results, err := c.Apply(writes)
		if err != nil {
			return done, err
		}
		for _, r := range results {
			if r.Err == nil {
				done++
			}
		}
	}
	return done, nil
}

// Select returns the sequence numbers of the documents that match a filter, in the order of insertion.
func (e *Engine) Select(ctx context.Context, c *Collection, text string) ([]uint64, error) {
	s := c.schema.Load()
	ctx, cancel := context.WithTimeout(ctx, e.limits.SearchTime)
	defer cancel()
	node, err := filter.Parse(text, s, filter.Options{Over: ctx.Err})
	if err != nil {
		return nil, err
	}
	if node, err = c.resolve(ctx, node); err != nil {
		return nil, err
	}
	res, err := c.find(ctx, index.Plan{
		Schema: &schema.Schema{}, Query: index.Query{All: true}, Filter: node, Limit: e.limits.DocumentsPerCollection, FilterCandidates: filterCandidates,
	})
	if err != nil {
		return nil, err
	}
	out := make([]uint64, len(res.Hits))
	for i, h := range res.Hits {
		out[len(out)-1-i] = h.Seq
	}
	return out, nil
}

// identify returns the writes for documents by sequence number. Deleted documents are omitted.
func (c *Collection) identify(seqs []uint64, change func(id string) Write) ([]Write, error) {
	docs, err := c.bySeq(seqs)
	if err != nil {
		return nil, err
	}
	var writes []Write
	for _, stored := range docs {
		if stored == nil {
			continue
		}
		doc, err := schema.ParseDocument(stored)
		if err != nil {
			return nil, err
		}
		id, _ := doc["id"].(string)
		writes = append(writes, change(id))
	}
	return writes, nil
}

// exportPage is how many documents are read at once, so that no read transaction waits for a slow client.
const exportPage = 500

// PagesOf returns a function that reads the documents with these sequence numbers page by page. It returns nil at the end.
func (c *Collection) PagesOf(seqs []uint64) func() ([][]byte, error) {
	return func() ([][]byte, error) {
		if len(seqs) == 0 {
			return nil, nil
		}
		chunk := seqs[:min(len(seqs), exportPage)]
		seqs = seqs[len(chunk):]
		docs, err := c.bySeq(chunk)
		out := make([][]byte, 0, len(docs))
		for _, d := range docs {
			if d != nil {
				out = append(out, d)
			}
		}
		return out, err
	}
}

// Pages returns a function that reads all documents page by page. It returns nil at the end.
func (c *Collection) Pages() func() ([][]byte, error) {
	from, done := uint64(0), false
	return func() (out [][]byte, err error) {
		if done {
			return nil, nil
		}
		out = [][]byte{}
		err = c.store.Read(c.key, func(tx *docstore.Tx) error {
			var err error
			from, done, err = tx.Scan(from, exportPage, func(_ uint64, doc []byte) error {
				out = append(out, append([]byte(nil), doc...))
				return nil
			})
			return err
		})
		return out, err
	}
}

// filterCandidates is the documented default of max_filter_by_candidates.
const filterCandidates = 4
