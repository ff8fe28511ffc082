package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/searchapi"
)

// SyncDocuments implements searchapi.StrictServerInterface.
func (h *Handlers) SyncDocuments(ctx context.Context, r searchapi.SyncDocumentsRequestObject) (searchapi.SyncDocumentsResponseObject, error) {
	core, _, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	items, err := itemsFrom(r.Body.Items)
	if err != nil {
		return nil, err
	}
	outcomes, err := core.Engine.Sync(ctx, r.Collection, items)
	if err != nil {
		return nil, err
	}
	return searchapi.SyncDocuments200JSONResponse(outcomesTo(items, outcomes)), nil
}

// SearchDocuments implements searchapi.StrictServerInterface.
func (h *Handlers) SearchDocuments(ctx context.Context, r searchapi.SearchDocumentsRequestObject) (searchapi.SearchDocumentsResponseObject, error) {
	core, _, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	found, err := core.Engine.Search(ctx, r.Collection, searchFrom(r.Body))
	if err != nil {
		return nil, err
	}
	return searchapi.SearchDocuments200JSONResponse(resultTo(found)), nil
}
