package handlers

import (
	"context"
	"slices"
	"strings"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

// accessNames maps kinds of access to the contract's words.
var accessNames = map[owner.Access]string{owner.Read: "read", owner.Write: "write", owner.Own: "own"}

func grantTo(g owner.Grant) searchapi.Grant {
	return searchapi.Grant{Grantee: g.Grantee, Access: searchapi.GrantAccess(accessNames[g.Access]), GrantedAt: g.At}
}

// ListCollectionGrants implements searchapi.StrictServerInterface.
func (h *Handlers) ListCollectionGrants(ctx context.Context, r searchapi.ListCollectionGrantsRequestObject) (searchapi.ListCollectionGrantsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	after := ""
	if r.Params.Cursor != nil {
		if err := page.Decode("grants", *r.Params.Cursor, &after); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	grants := slices.SortedFunc(slices.Values(c.Grants), func(a, b owner.Grant) int { return strings.Compare(a.Grantee, b.Grantee) })
	list, limit := searchapi.GrantList{Items: []searchapi.Grant{}}, limitFrom(r.Params.Limit)
	for _, g := range grants {
		if g.Grantee <= after {
			continue
		}
		if len(list.Items) == limit {
			next := page.Encode("grants", list.Items[limit-1].Grantee)
			list.NextCursor = &next
			break
		}
		list.Items = append(list.Items, grantTo(g))
	}
	return searchapi.ListCollectionGrants200JSONResponse(list), nil
}

// PutCollectionGrant implements searchapi.StrictServerInterface.
func (h *Handlers) PutCollectionGrant(ctx context.Context, r searchapi.PutCollectionGrantRequestObject) (searchapi.PutCollectionGrantResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	access := owner.Read
	if r.Body.Access == searchapi.GrantPutAccessWrite {
		access = owner.Write
	}
	g, err := core.Store.PutGrant(ctx, c.Collection, r.Grantee, access, grantEvent(ctx, p, "putCollectionGrant", c, r.Grantee, accessNames[access]))
	if err != nil {
		return nil, refuse(err)
	}
	return searchapi.PutCollectionGrant200JSONResponse(grantTo(g)), nil
}

// DeleteCollectionGrant implements searchapi.StrictServerInterface.
func (h *Handlers) DeleteCollectionGrant(ctx context.Context, r searchapi.DeleteCollectionGrantRequestObject) (searchapi.DeleteCollectionGrantResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	if err := core.Store.DeleteGrant(ctx, c.Collection, r.Grantee, grantEvent(ctx, p, "deleteCollectionGrant", c, r.Grantee, "")); err != nil {
		return nil, refuse(err)
	}
	return searchapi.DeleteCollectionGrant204Response{}, nil
}

func grantEvent(ctx context.Context, p *auth.Principal, action string, c held, grantee, access string) audit.Event {
	e := event(ctx, p, action, c.Name.Engine())
	e.Detail = map[string]string{"grantee": grantee}
	if access != "" {
		e.Detail["access"] = access
	}
	return e
}
