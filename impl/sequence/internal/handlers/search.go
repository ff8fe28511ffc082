package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/sequenceapi"
)

// SearchElements finds a scope's elements by their words.
func (s *Server) SearchElements(ctx context.Context, r sequenceapi.SearchElementsRequestObject) (sequenceapi.SearchElementsResponseObject, error) {
	if err := s.Store.Known(ctx, r.Scope); err != nil {
		return nil, refuse(err, nil)
	}
	query := toQuery(r.Scope, r.Body)
	result, err := s.Search.Search(ctx, query)
	if err != nil {
		return nil, refuse(err, nil)
	}
	return ok(fromSearch(result, query.Page)), nil
}
