package handlers

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
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

// document is a document as the engine has it: json.RawMessage as the generated answer would be written in base64.
type document json.RawMessage

// VisitGetDocumentResponse implements the generated answer of getDocument.
func (d document) VisitGetDocumentResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d)
	return err
}

// GetDocument implements searchapi.StrictServerInterface.
func (h *Handlers) GetDocument(ctx context.Context, r searchapi.GetDocumentRequestObject) (searchapi.GetDocumentResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Read)
	if err != nil {
		return nil, err
	}
	id := r.DocumentID
	switch tenant := r.Params.Tenant; {
	case tenant != nil && !(c.TenantScoped && c.whole):
		return nil, problem.New(problem.ValidationFailed, "The tenant is for the owner of a tenant-scoped collection to say.").
			WithField("query", "tenant", "not", "must be absent")
	case tenant != nil:
		id = owner.DocumentID(*tenant, id)
	case c.TenantScoped:
		id = owner.DocumentID(p.Tenant, id)
	}
	doc, err := core.Engine.Document(ctx, c.Engine(), id)
	if err == nil && c.TenantScoped {
		_, doc, err = engine.Restore(doc)
	}
	if err != nil {
		return nil, err
	}
	return document(doc), nil
}

// DeleteDocumentsByQuery implements searchapi.StrictServerInterface.
func (h *Handlers) DeleteDocumentsByQuery(ctx context.Context, r searchapi.DeleteDocumentsByQueryRequestObject) (searchapi.DeleteDocumentsByQueryResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Write)
	if err != nil {
		return nil, err
	}
	filter, err := typedFilter(&r.Body.Filter, c)
	if err != nil {
		return nil, err
	}
	out := searchapi.DocumentDeletionResult{DryRun: r.Body.DryRun != nil && *r.Body.DryRun}
	if !out.DryRun {
		out.Documents, err = core.Engine.DeleteWhere(ctx, c.Engine(), filter)
		return searchapi.DeleteDocumentsByQuery200JSONResponse(out), err
	}
	found, err := core.Engine.Search(ctx, engine.CountSearch(c.Engine(), filter))
	if err != nil {
		return nil, err
	}
	out.Documents = found[0].Found
	return searchapi.DeleteDocumentsByQuery200JSONResponse(out), nil
}
