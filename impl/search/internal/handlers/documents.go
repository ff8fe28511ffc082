package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// item identifies a document in the part of the collection that the caller reaches. Problem: validation_failed, for the place where the
// tenant was given.
func (c held) item(id string, tenant *string, in, pointer string) (engine.Item, error) {
	switch {
	case tenant != nil && !(c.TenantScoped && c.whole):
		return engine.Item{}, problem.New(problem.ValidationFailed, "Only the owner of a tenant-scoped collection can name the tenant.").
			WithField(in, pointer, "not", "must be absent")
	case tenant != nil:
		return engine.Item{ID: id, Tenant: tenant}, nil
	}
	return c.ownItem(id), nil
}

// ownItem identifies a document for which no tenant was given. In a tenant-scoped collection it belongs to the caller's tenant.
func (c held) ownItem(id string) engine.Item {
	if c.TenantScoped {
		return engine.Item{ID: id, Tenant: &c.caller.Tenant}
	}
	return engine.Item{ID: id}
}

// change prepares a write: it returns the collection, which the caller may write, and the item.
func (h *Handlers) change(ctx context.Context, collection, id string, tenant *string) (*Core, held, engine.Item, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, held{}, engine.Item{}, err
	}
	c, err := core.hold(ctx, p, collection, owner.Write)
	if err != nil {
		return nil, held{}, engine.Item{}, err
	}
	item, err := c.item(id, tenant, "query", "tenant")
	return core, c, item, err
}

// over makes the item conditional on the version in If-Match. Problem: precondition_failed if the collection keeps no versions.
func (c held) over(item *engine.Item, match *string) error {
	if match == nil {
		return nil
	}
	if !c.Versioned {
		return problem.New(problem.PreconditionFailed, "The collection keeps no versions of its documents.")
	}
	m := etag.ParseMatch(*match)
	item.If = func(version int64) bool { return version > 0 && m.Holds(version) }
	return nil
}

// stale turns a version conflict into the problem of a request for a single document.
func stale(err error) error {
	if errors.Is(err, problem.VersionConflict) {
		return problem.New(problem.PreconditionFailed, "The precondition names a version of the document that is not the current one.").Wrap(err)
	}
	return err
}

// tagOf returns the entity tag of a version, or nil if the collection keeps no versions.
func (c held) tagOf(version int64) *string {
	if !c.Versioned || version == 0 {
		return nil
	}
	return new(etag.Of(version))
}

// PutDocument implements searchapi.StrictServerInterface.
func (h *Handlers) PutDocument(ctx context.Context, r searchapi.PutDocumentRequestObject) (searchapi.PutDocumentResponseObject, error) {
	core, c, item, err := h.change(ctx, r.Collection, r.DocumentID, r.Params.Tenant)
	if err != nil {
		return nil, err
	}
	item.Document = *r.Body
	if err := c.over(&item, r.Params.IfMatch); err != nil {
		return nil, err
	}
	version, err := core.Writer.Put(ctx, c.Collection, item)
	if err != nil {
		return nil, stale(err)
	}
	return searchapi.PutDocument204Response{Headers: searchapi.PutDocument204ResponseHeaders{ETag: c.tagOf(version)}}, nil
}

// PatchDocument implements searchapi.StrictServerInterface.
func (h *Handlers) PatchDocument(ctx context.Context, r searchapi.PatchDocumentRequestObject) (searchapi.PatchDocumentResponseObject, error) {
	core, c, item, err := h.change(ctx, r.Collection, r.DocumentID, r.Params.Tenant)
	if err != nil {
		return nil, err
	}
	item.Document = *r.Body
	if err := c.over(&item, r.Params.IfMatch); err != nil {
		return nil, err
	}
	version, err := core.Writer.Patch(ctx, c.Collection, item)
	if err != nil {
		return nil, stale(err)
	}
	return searchapi.PatchDocument204Response{Headers: searchapi.PatchDocument204ResponseHeaders{ETag: c.tagOf(version)}}, nil
}

// DeleteDocument implements searchapi.StrictServerInterface.
func (h *Handlers) DeleteDocument(ctx context.Context, r searchapi.DeleteDocumentRequestObject) (searchapi.DeleteDocumentResponseObject, error) {
	core, c, item, err := h.change(ctx, r.Collection, r.DocumentID, r.Params.Tenant)
	if err != nil {
		return nil, err
	}
	if err := c.over(&item, r.Params.IfMatch); err != nil {
		return nil, err
	}
	if err := core.Writer.Remove(ctx, c.Collection, item); err != nil {
		return nil, stale(err)
	}
	return searchapi.DeleteDocument204Response{}, nil
}

// document is a document as the engine returned it. The generated response type would encode a json.RawMessage as base64.
type document struct {
	body json.RawMessage
	tag  *string
}

// VisitGetDocumentResponse implements the generated answer of getDocument.
func (d document) VisitGetDocumentResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	if d.tag != nil {
		w.Header().Set("ETag", *d.tag)
	}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d.body)
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
	item, err := c.item(r.DocumentID, r.Params.Tenant, "query", "tenant")
	if err != nil {
		return nil, err
	}
	version := int64(0)
	if c.Versioned { // before the document: a write in between gets a later version, so that a conflict is noticed
		if version, err = core.Store.VersionOf(ctx, c.Collection, item.Stored()); err != nil {
			return nil, err
		}
	}
	doc, err := core.Engine.Document(ctx, c.Engine(), item.Stored())
	if err == nil && c.TenantScoped {
		_, doc, err = engine.Restore(doc)
	}
	if err != nil {
		return nil, err
	}
	return document{doc, c.tagOf(version)}, nil
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
		out.Documents, err = core.Writer.DeleteWhere(ctx, c.Collection, filter)
		return searchapi.DeleteDocumentsByQuery200JSONResponse(out), err
	}
	found, err := core.Engine.Search(ctx, engine.CountSearch(c.Engine(), filter))
	if err != nil {
		return nil, err
	}
	out.Documents = found[0].Found
	return searchapi.DeleteDocumentsByQuery200JSONResponse(out), nil
}
