package embedded

import (
	"context"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// resolve replaces conditions on elements of objects, which only documents can answer, by lists of IDs, which the index can. It reads the
// documents that match the rest of such a condition.
func (c *Collection) resolve(ctx context.Context, n *filter.Node) (*filter.Node, error) {
	if !n.Checks() {
		return n, nil
	}
	if n.Op == filter.Document {
		ids, err := c.holding(ctx, n)
		return &filter.Node{Op: filter.Leaf, Clause: idClause(ids, false)}, err
	}
	out := *n
	var err error
	if out.Left, err = c.resolve(ctx, n.Left); err != nil {
		return nil, err
	}
	out.Right, err = c.resolve(ctx, n.Right)
	return &out, err
}

// holding returns the IDs of the documents that meet the condition.
func (c *Collection) holding(ctx context.Context, n *filter.Node) ([]string, error) {
	res, err := c.find(ctx, index.Plan{
		Schema: &schema.Schema{}, Query: index.Query{All: true}, Filter: n.Loosened(), Limit: c.limits.DocumentsPerCollection, FilterCandidates: filterCandidates,
	})
	if err != nil {
		return nil, err
	}
	seqs := make([]uint64, len(res.Hits))
	for i, h := range res.Hits {
		seqs[i] = h.Seq
	}
	var ids []string
	err = c.parts(ctx, seqs, []*schema.Field{n.Element.Object}, func(doc schema.Document) {
		if id, ok := doc["id"].(string); ok && n.Element.Holds(doc) {
			ids = append(ids, id)
		}
	})
	return ids, err
}
