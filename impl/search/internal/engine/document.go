package engine

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// Document reads a document by its ID at the engine. Problem: not_found.
func (e *Engine) Document(ctx context.Context, collection, id string) (doc json.RawMessage, err error) {
	err = e.again(ctx, func() (err error) {
		doc, err = e.client.Document(ctx, collection, id)
		return err
	})
	return doc, noDocument(err)
}

// Put creates or replaces a document. Problems: validation_failed (it does not fit the collection), limit_reached, engine_unavailable.
func (e *Engine) Put(ctx context.Context, collection string, item Item) error {
	return e.write(ctx, collection, api.Upsert, item)
}

// Patch replaces those fields of a document that the item contains. Problems: those of Put, and not_found.
func (e *Engine) Patch(ctx context.Context, collection string, item Item) error {
	return noDocument(e.write(ctx, collection, api.Update, item))
}

// Remove deletes a document. Problem: not_found.
func (e *Engine) Remove(ctx context.Context, collection string, item Item) error {
	return noDocument(e.again(ctx, func() error { return e.client.DeleteDocument(ctx, collection, item.Stored()) }))
}

// write sends one document as an import of one line, because the result of an import line has a status of its own.
func (e *Engine) write(ctx context.Context, collection string, action api.IndexAction, item Item) error {
	doc, err := withID(item)
	if err != nil {
		return err
	}
	var lines []tsclient.ImportLine
	err = e.again(ctx, func() (err error) {
		lines, err = e.client.Import(ctx, collection, action, [][]byte{doc})
		return err
	})
	if err != nil {
		return err
	}
	outcome, err := outcomeOf(lines[0])
	if err != nil {
		return err
	}
	return outcome
}

// noDocument turns not_found into a problem about the document. The collection is known to exist.
func noDocument(err error) error {
	if errors.Is(err, problem.NotFound) {
		return problem.New(problem.NotFound, "There is no such document.").Wrap(err)
	}
	return err
}
