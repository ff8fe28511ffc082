package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

// stored is the answer to a creation, made now or taken from the first time.
type stored idempotency.Answer

// VisitCreateCollectionResponse implements the generated answer of createCollection.
func (s stored) VisitCreateCollectionResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(s.Status)
	_, err := w.Write(s.Body)
	return err
}

// CreateCollection implements searchapi.StrictServerInterface. The engine is not part of the database's transaction: a keyed
// creation is noted before and answered after, so that a repeat after a crash in between takes the collection as its own.
func (h *Handlers) CreateCollection(ctx context.Context, r searchapi.CreateCollectionRequestObject) (searchapi.CreateCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	key := idempotencyKey(ctx, p, "createCollection", r.Params.IdempotencyKey)
	begun := false
	if key != nil {
		answer, known, before, err := core.Store.Begin(ctx, *key, r.Body.Name)
		if err != nil || known {
			return stored(answer), err
		}
		begun = before
	}
	made, err := h.create(ctx, core, collectionFrom(r.Body), begun)
	if err != nil {
		return nil, h.abandon(ctx, core, key, err)
	}
	body, err := json.Marshal(collectionTo(made))
	if err != nil {
		return nil, err
	}
	answer, err := core.Store.Finish(ctx, key, idempotency.Answer{Status: http.StatusCreated, Body: body}, event(ctx, p, "createCollection", r.Body.Name))
	return stored(answer), err
}

// create makes the collection; one that an earlier attempt of the same request made counts as made.
func (h *Handlers) create(ctx context.Context, core *Core, want engine.Collection, begun bool) (engine.Collection, error) {
	made, err := core.Engine.Create(ctx, want)
	if begun && errors.Is(err, problem.AlreadyExists) {
		return core.Engine.Collection(ctx, want.Name)
	}
	return made, err
}

// abandon forgets a creation that the engine refused for good.
func (h *Handlers) abandon(ctx context.Context, core *Core, key *idempotency.Key, cause error) error {
	if key == nil || errors.Is(cause, problem.EngineUnavailable) || errors.Is(cause, problem.UpstreamTimeout) || errors.Is(cause, problem.BadUpstream) {
		return cause
	}
	if err := core.Store.Abandon(context.WithoutCancel(ctx), *key); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// ListCollections implements searchapi.StrictServerInterface.
func (h *Handlers) ListCollections(ctx context.Context, r searchapi.ListCollectionsRequestObject) (searchapi.ListCollectionsResponseObject, error) {
	core, _, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	after := ""
	if r.Params.Cursor != nil {
		if err := page.Decode("collections", *r.Params.Cursor, &after); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	all, err := core.Engine.Collections(ctx)
	if err != nil {
		return nil, err
	}
	return searchapi.ListCollections200JSONResponse(listTo(all, after, limitFrom(r.Params.Limit))), nil
}

// GetCollection implements searchapi.StrictServerInterface.
func (h *Handlers) GetCollection(ctx context.Context, r searchapi.GetCollectionRequestObject) (searchapi.GetCollectionResponseObject, error) {
	core, _, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.Engine.Collection(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	return searchapi.GetCollection200JSONResponse(collectionTo(c)), nil
}

// DeleteCollection implements searchapi.StrictServerInterface.
func (h *Handlers) DeleteCollection(ctx context.Context, r searchapi.DeleteCollectionRequestObject) (searchapi.DeleteCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := core.Engine.Delete(ctx, r.Collection); err != nil {
		return nil, err
	}
	// It is gone: the chain must learn of it even if the caller has left.
	if err := core.Store.Note(context.WithoutCancel(ctx), event(ctx, p, "deleteCollection", r.Collection)); err != nil {
		return nil, err
	}
	return searchapi.DeleteCollection204Response{}, nil
}
