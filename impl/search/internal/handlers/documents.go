package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// SyncDocuments implements searchapi.StrictServerInterface.
func (h *Handlers) SyncDocuments(ctx context.Context, r searchapi.SyncDocumentsRequestObject) (searchapi.SyncDocumentsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Write)
	if err != nil {
		return nil, err
	}
	items, err := itemsFrom(r.Body.Items, c)
	if err != nil {
		return nil, err
	}
	outcomes, err := core.Engine.Sync(ctx, c.Engine(), items)
	if err != nil {
		return nil, err
	}
	return searchapi.SyncDocuments200JSONResponse(outcomesTo(items, outcomes)), nil
}
