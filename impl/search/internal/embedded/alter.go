package embedded

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Alter changes the schema as the body says, when every document fits it, and indexes anew. Searches go on with the old index meanwhile.
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

// fits checks every document against the schema and returns it with the fields that its patterns and objects make of them.
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

// unfit tells that documents do not fit a new schema, in the words that Typesense has for it.
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
