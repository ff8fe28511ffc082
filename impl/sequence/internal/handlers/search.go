package handlers

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/internal/problem"
)

// SearchElements finds a scope's elements by their words.
func (s *Server) SearchElements(ctx context.Context, r sequenceapi.SearchElementsRequestObject) (sequenceapi.SearchElementsResponseObject, error) {
	if err := s.Store.Known(ctx, r.Scope); err != nil {
		return nil, refuse(err, nil)
	}
	query := toQuery(r.Scope, r.Body)
	if query.To > 0 && query.From > query.To {
		return nil, problem.New(problem.ValidationFailed, "The range of numbers is empty.").WithField("body", "/numberTo", "minimum", "is below numberFrom")
	}
	result, err := s.Search.Search(ctx, query)
	if err != nil {
		return nil, refuse(err, nil)
	}
	return ok(fromSearch(result, query.Page)), nil
}

// Reindexer delivers whole scopes to the search service again.
type Reindexer interface {
	Reindex(ctx context.Context, scope string) error
}

// ReindexScope starts the delivery of all elements of a scope to search again.
func (s *Server) ReindexScope(ctx context.Context, r sequenceapi.ReindexScopeRequestObject) (sequenceapi.ReindexScopeResponseObject, error) {
	types, err := s.Store.Types(ctx, r.Scope)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.ScopeReindex{Scope: r.Scope}
	for _, one := range types {
		out.Elements += one.Count
	}
	if err := s.Reindex.Reindex(ctx, r.Scope); err != nil {
		return nil, refuse(err, nil)
	}
	return answer{status: http.StatusAccepted, body: out}, nil
}
