package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// CountField is the field of a collection of queries that counts how often each query was made. The field q holds the query.
const CountField = "count"

// AddQueries adds counts to the documents of a collection of queries. Then it keeps the limit most frequent queries, and deletes the
// others.
func (e *Engine) AddQueries(ctx context.Context, collection string, counts map[string]int64, limit int) error {
	c, err := e.Collection(collection)
	if err != nil {
		return err
	}
	var writes []Write
	for _, q := range slices.Sorted(maps.Keys(counts)) {
		digest := sha256.Sum256([]byte(q))
		writes = append(writes, Write{Action: Emplace, Doc: schema.Document{"id": hex.EncodeToString(digest[:16]), "q": q}, Add: map[string]int64{CountField: counts[q]}})
	}
	if err := c.applyAll(writes); err != nil {
		return err
	}
	return c.leaveMost(ctx, limit)
}

// AddToField adds to a field of documents by their IDs. Documents that don't exist are skipped.
func (e *Engine) AddToField(collection, field string, counts map[string]int64) error {
	c, err := e.Collection(collection)
	if err != nil {
		return err
	}
	var writes []Write
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		writes = append(writes, Write{Action: Update, ID: id, Doc: schema.Document{}, Add: map[string]int64{field: counts[id]}})
	}
	return c.applyAll(writes)
}

// applyAll carries out writes in chunks. A missing document is not an error. Of other errors it returns the first one, after it has tried
// all writes.
func (c *Collection) applyAll(writes []Write) error {
	var failed error
	for chunk := range slices.Chunk(writes, ChunkDocs) {
		results, err := c.Apply(chunk)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, r := range results {
			var refused *schema.Error
			if r.Err != nil && failed == nil && !(errors.As(r.Err, &refused) && refused.Status == 404) {
				failed = r.Err
			}
		}
	}
	return failed
}

// leaveMost keeps the limit documents with the highest counts, and deletes the others.
func (c *Collection) leaveMost(ctx context.Context, limit int) error {
	s := c.schema.Load()
	f, ok := s.Field(CountField)
	if !ok || !f.Sort || c.idx().Stats().Documents <= limit {
		return nil
	}
	res, err := c.find(ctx, index.Plan{
		Schema: &schema.Schema{}, Query: index.Query{All: true}, Sort: []ordering.Key{{Field: f, Desc: true}}, Offset: limit, Limit: c.limits.DocumentsPerCollection, FilterCandidates: filterCandidates,
	})
	if err != nil {
		return err
	}
	seqs := make([]uint64, len(res.Hits))
	for i, h := range res.Hits {
		seqs[i] = h.Seq
	}
	for chunk := range slices.Chunk(seqs, ChunkDocs) {
		writes, err := c.identify(chunk, func(id string) Write { return Write{Remove: true, ID: id} })
		if err == nil {
			err = c.applyAll(writes)
		}
		if err != nil {
			return fmt.Errorf("remove rare queries: %w", err)
		}
	}
	return nil
}

// added returns a copy of a document with the numbers added to its fields. A field that is missing or not an integer counts as 0. The given
// document is not modified, because its write may be retried.
func added(doc schema.Document, add map[string]int64) schema.Document {
	out := maps.Clone(doc)
	for field, n := range add {
		old := int64(0)
		if text, ok := doc[field].(json.Number); ok {
			old, _ = strconv.ParseInt(text.String(), 10, 64)
		}
		if sum := old + n; (sum > old) == (n > 0) {
			old = sum
		} else if n != 0 {
			old = math.MaxInt64
		}
		out[field] = json.Number(strconv.FormatInt(old, 10))
	}
	return out
}
