package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// Records reads the records of a kind by name, in the engine's form. collection is set for the kinds that belong to a collection. Problem:
// not_found (the collection).
func (e *Engine) Records(ctx context.Context, kind tsclient.RecordKind, collection string) (all map[string]json.RawMessage, err error) {
	err = e.again(ctx, func() (err error) {
		all, err = e.client.Records(ctx, kind, collection)
		return err
	})
	return all, err
}

// PutRecord creates or replaces a record. It may be repeated.
func (e *Engine) PutRecord(ctx context.Context, kind tsclient.RecordKind, collection, name string, record json.RawMessage) error {
	return e.again(ctx, func() error { return e.client.PutRecord(ctx, kind, collection, name, record) })
}

// DeleteRecord deletes a record. Problem: not_found.
func (e *Engine) DeleteRecord(ctx context.Context, kind tsclient.RecordKind, collection, name string) error {
	return e.again(ctx, func() error { return e.client.DeleteRecord(ctx, kind, collection, name) })
}

// DeleteItem deletes one item of a set. Problem: not_found.
func (e *Engine) DeleteItem(ctx context.Context, kind tsclient.RecordKind, set, id string) error {
	return e.again(ctx, func() error { return e.client.DeleteItem(ctx, kind, set, id) })
}

// NameSets sets which synonym and curation sets a collection uses, on an engine that has such sets. Problem: not_found.
func (e *Engine) NameSets(ctx context.Context, collection string, synonyms, curations []string) error {
	body, err := json.Marshal(map[string][]string{"synonym_sets": append([]string{}, synonyms...), "curation_sets": append([]string{}, curations...)})
	if err != nil {
		return fmt.Errorf("write names of sets: %w", err)
	}
	return e.again(ctx, func() error { return e.client.AlterCollection(ctx, collection, body) })
}
