package handlers

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/searchkeys"
	"github.com/fountainai/fountain/internal/problem"
)

// defaultKeyLife is the default of the contract.
const defaultKeyLife = time.Hour

// CreateSearchKey implements searchapi.StrictServerInterface. The key allows no more than a search through this service does: it embeds the
// filter of the caller's tenant.
func (h *Handlers) CreateSearchKey(ctx context.Context, r searchapi.CreateSearchKeyRequestObject) (searchapi.CreateSearchKeyResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Read)
	if err != nil {
		return nil, err
	}
	if core.SearchKeys == nil {
		return nil, problem.New(problem.UnsupportedQuery, "The engine is embedded in this service and has no address that a browser can reach.")
	}
	if c, err = core.again(ctx, c, owner.Read); err != nil { // the key outlives the second for which owners are cached
		return nil, err
	}
	limits, err := limitsFrom(r.Body, c) // of the current collection: the name may belong to another one
	if err == nil && limits.Filter != "" {
		err = core.filtersApart(ctx)
	}
	if err != nil {
		return nil, err
	}
	key, err := core.SearchKeys.Mint(ctx, c.Collection, limits)
	if err != nil {
		return nil, err
	}
	switch now, err := core.Store.CollectionNow(ctx, c.Name); {
	case err != nil:
		return nil, err
	case now == nil || !now.Claimed.Equal(c.Claimed): // it was deleted in the meantime, after its alias
		return nil, errors.Join(noCollection(), core.SearchKeys.Forget(context.WithoutCancel(ctx), c.Collection))
	}
	e := event(ctx, p, "createSearchKey", c.Name.Engine())
	e.Detail = map[string]string{"expiresAt": key.ExpiresAt.Format(time.RFC3339)}
	if err := core.Store.Tell(ctx, e); err != nil { // no key is returned that is not in the audit trail
		return nil, err
	}
	out := searchapi.SearchKey{Key: key.Text, Collection: key.Collection, ExpiresAt: key.ExpiresAt}
	if core.EngineDoor != "" {
		out.EngineURL = &core.EngineDoor
	}
	return searchapi.CreateSearchKey201JSONResponse(out), nil
}

// filtersApart refuses a key with a filter if the engine can't enforce it. A Typesense joins the holder's filter and the key's filter as
// text, "(holder's) && (key's)". The holder's part may end inside a quoted value or a list, which then swallows the key's part as text.
// `fountain serve typesense` parses each filter separately. Problem: unsupported_query.
func (core *Core) filtersApart(ctx context.Context) error {
	_, ours, err := core.Engine.Version(ctx)
	if err != nil {
		return err
	}
	if !ours {
		return problem.New(problem.UnsupportedQuery, "Typesense cannot restrict a key by a filter: its keys are for whole collections. An engine of fountain serve typesense can.")
	}
	return nil
}

// forgetKeys deletes the alias at the engine through which search keys reach the collection.
func (core *Core) forgetKeys(ctx context.Context, c held) error {
	if core.SearchKeys == nil {
		return nil
	}
	return core.SearchKeys.Forget(ctx, c.Collection)
}

// limitsFrom returns the limits of a key. Problem: validation_failed.
func limitsFrom(b *searchapi.SearchKeyCreate, c held) (l searchkeys.Limits, err error) {
	l = searchkeys.Limits{Filter: c.filter(), Life: defaultKeyLife, Overrides: !c.TenantScoped}
	if b.Filter != nil {
		if l.Filter, err = typedFilter(b.Filter, c); err != nil {
			return l, err
		}
	}
	if b.ExpiresInSeconds != nil {
		l.Life = time.Duration(*b.ExpiresInSeconds) * time.Second
	}
	if b.ExcludeFields != nil {
		for _, field := range *b.ExcludeFields {
			if reserved(field) {
				return l, problem.New(problem.ValidationFailed, "There is no field of that name.")
			}
		}
		l.ExcludeFields = append(l.ExcludeFields, *b.ExcludeFields...)
	}
	if c.TenantScoped {
		l.ExcludeFields = append(l.ExcludeFields, owner.TenantField)
	}
	if b.PerPage != nil {
		l.PerPage = int(*b.PerPage)
	}
	return l, nil
}
