package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

func reindexTo(r *reindex.Reindex, c held) searchapi.Reindex {
	out := searchapi.Reindex{
		ID: r.ID, Collection: c.shown(), State: searchapi.ReindexState(r.State), SchemaVersion: r.SchemaVersion, Documents: r.Documents, Copied: r.Copied,
		CaughtUp: r.CaughtUp, Refused: r.Refused, StartedAt: r.Started, ChangedAt: r.Changed,
	}
	if r.State == reindex.Done && r.Cleanup != "" {
		out.OldKeptUntil = &r.CleanupAt
	}
	if r.Failure != "" {
		out.Failure = &searchapi.ReindexFailure{Code: r.Failure, Message: r.Reason}
	}
	return out
}

// StartReindex implements searchapi.StrictServerInterface.
func (h *Handlers) StartReindex(ctx context.Context, r searchapi.StartReindexRequestObject) (searchapi.StartReindexResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	compared, err := core.Schemas.Compare(ctx, c.Collection)
	if err != nil {
		return nil, refuse(err)
	}
	begun, err := core.Schemas.Reindex(ctx, c.Collection, compared, keepDuration(r.Body.KeepOldSeconds), event(ctx, p, "startReindex", c.Name.Engine()))
	if err != nil {
		return nil, refuse(err)
	}
	return searchapi.StartReindex202JSONResponse(reindexTo(begun, c)), nil
}

// ListReindexes implements searchapi.StrictServerInterface.
func (h *Handlers) ListReindexes(ctx context.Context, r searchapi.ListReindexesRequestObject) (searchapi.ListReindexesResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	before := ""
	if r.Params.Cursor != nil {
		if err := page.Decode("reindexes", *r.Params.Cursor, &before); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	limit := limitFrom(r.Params.Limit)
	all, err := core.Store.Reindexes(ctx, c.Collection, before, limit+1)
	if err != nil {
		return nil, err
	}
	list := searchapi.ReindexList{Items: []searchapi.Reindex{}}
	if len(all) > limit {
		all = all[:limit]
		next := page.Encode("reindexes", all[limit-1].ID)
		list.NextCursor = &next
	}
	for _, one := range all {
		list.Items = append(list.Items, reindexTo(one, c))
	}
	return searchapi.ListReindexes200JSONResponse(list), nil
}

// GetReindex implements searchapi.StrictServerInterface.
func (h *Handlers) GetReindex(ctx context.Context, r searchapi.GetReindexRequestObject) (searchapi.GetReindexResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	one, err := core.Store.Reindex(ctx, c.Collection, r.ReindexID)
	if err != nil {
		return nil, refuse(err)
	}
	return searchapi.GetReindex200JSONResponse(reindexTo(one, c)), nil
}

// order changes a reindex of a collection that the caller owns.
func (h *Handlers) order(ctx context.Context, collection, id, action string, do func(*Core, context.Context, *owner.Collection, string, audit.Event) (*reindex.Reindex, error)) (searchapi.Reindex, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return searchapi.Reindex{}, err
	}
	c, err := core.hold(ctx, p, collection, owner.Own)
	if err != nil {
		return searchapi.Reindex{}, err
	}
	e := event(ctx, p, action, c.Name.Engine())
	e.Detail = map[string]string{"reindex": id}
	one, err := do(core, ctx, c.Collection, id, e)
	if err != nil {
		return searchapi.Reindex{}, refuse(err)
	}
	core.Schemas.Wake()
	return reindexTo(one, c), nil
}

// AbortReindex implements searchapi.StrictServerInterface.
func (h *Handlers) AbortReindex(ctx context.Context, r searchapi.AbortReindexRequestObject) (searchapi.AbortReindexResponseObject, error) {
	one, err := h.order(ctx, r.Collection, r.ReindexID, "abortReindex", func(core *Core, ctx context.Context, c *owner.Collection, id string, e audit.Event) (*reindex.Reindex, error) {
		return core.Store.Abort(ctx, c, id, e)
	})
	if err != nil {
		return nil, err
	}
	return searchapi.AbortReindex200JSONResponse(one), nil
}

// RollbackReindex implements searchapi.StrictServerInterface.
func (h *Handlers) RollbackReindex(ctx context.Context, r searchapi.RollbackReindexRequestObject) (searchapi.RollbackReindexResponseObject, error) {
	one, err := h.order(ctx, r.Collection, r.ReindexID, "rollbackReindex", func(core *Core, ctx context.Context, c *owner.Collection, id string, e audit.Event) (*reindex.Reindex, error) {
		return core.Store.Rollback(ctx, c, id, e)
	})
	if err != nil {
		return nil, err
	}
	return searchapi.RollbackReindex200JSONResponse(one), nil
}
