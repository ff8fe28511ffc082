package embedded

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Alter changes the schema as body says, if every document fits the new one, and rebuilds the index. Searches use the old index until then.
func (c *Collection) Alter(body []byte) (*schema.Alteration, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.dropped {
		return nil, ErrCollection
	}
	next, a, err := c.schema.Load().Alter(body, c.limits.Fields)
	if err != nil {
		return nil, err
	}
	if next, err = c.fits(next); err != nil {
		return nil, err
	}
	stored, err := next.Render(-1)
	if err != nil {
		return nil, err
	}
	if err := c.store.Write(c.key, func(tx *docstore.Tx) error { return tx.SetSchema(stored) }); err != nil {
		return nil, fmt.Errorf("store schema: %w", err)
	}
	c.schema.Store(next)
	return a, c.rebuild()
}

// fits checks every document against the schema. It returns the schema extended by the fields that its patterns and objects create from the
// documents.
func (c *Collection) fits(next *schema.Schema) (*schema.Schema, error) {
	for from, done := uint64(0), false; !done; {
		err := c.store.Read(c.key, func(tx *docstore.Tx) (err error) {
			from, done, err = tx.Scan(from, ChunkDocs, func(_ uint64, stored []byte) error {
				doc, err := schema.ParseDocument(stored)
				if err != nil {
					return err
				}
				_, added, err := next.Check(doc, schema.CoerceOrReject)
				if err != nil {
					return unfit(err)
				}
				if len(added) > 0 {
					next = next.Extend(added)
				}
				return nil
			})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return next, nil
}

// unfit returns the error for documents that do not fit a new schema, with Typesense's text.
func unfit(err error) error {
	var refused *schema.Error
	if !errors.As(err, &refused) {
		return err
	}
	if before, ok := strings.CutSuffix(refused.Text, "but is not found in the document."); ok {
		return badRequest("%sbut is not found in the documents already present in the collection. If you still want to add this field, set it as `optional: true`.", before)
	}
	return badRequest("Schema change is incompatible with the type of documents already stored in this collection. %s", refused.Text)
}
