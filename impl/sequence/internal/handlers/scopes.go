package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

const scopesList = "scopes" // the list that cursors belong to

// ListElementScopes lists the scopes that have an element.
func (s *Server) ListElementScopes(ctx context.Context, r sequenceapi.ListElementScopesRequestObject) (sequenceapi.ListElementScopesResponseObject, error) {
	after, limit := "", defaultPage
	if r.Params.Cursor != nil {
		if err := page.Decode(scopesList, *r.Params.Cursor, &after); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	if r.Params.Limit != nil {
		limit = page.Limit(new(int(*r.Params.Limit)), defaultPage, largestPage)
	}
	scopes, err := s.Store.Scopes(ctx, after, limit+1)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.ScopeList{Items: []sequenceapi.ScopeSummary{}}
	if len(scopes) > limit {
		scopes = scopes[:limit]
		out.NextCursor = new(page.Encode(scopesList, scopes[limit-1].Scope))
	}
	for _, one := range scopes {
		out.Items = append(out.Items, sequenceapi.ScopeSummary{Scope: one.Scope, Types: one.Types, Count: one.Count})
	}
	return ok(out), nil
}

// GetElementScope returns, for each type of a scope, the number of elements and the next number.
func (s *Server) GetElementScope(ctx context.Context, r sequenceapi.GetElementScopeRequestObject) (sequenceapi.GetElementScopeResponseObject, error) {
	types, err := s.Store.Types(ctx, r.Scope)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.ScopeCounts{Scope: r.Scope, Types: make([]sequenceapi.TypeSummary, len(types))}
	for i, one := range types {
		out.Types[i] = sequenceapi.TypeSummary{ElementType: one.ElementType, Count: one.Count, Omitted: one.Omitted, NextNumber: one.Next()}
	}
	origin, err := s.Store.Origin(ctx, r.Scope)
	if err != nil {
		return nil, refuse(err, nil)
	}
	if origin != nil {
		out.Origin = &sequenceapi.ScopeOrigin{At: origin.At, By: origin.By, Sha256: origin.SHA256}
	}
	return ok(out), nil
}
