package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/search"
)

// GetCollectionSchema compares the schema that a collection should have with the one that it has. Its Version is what PutCollectionSchema takes, by IfMatch.
func (s *Search) GetCollectionSchema(ctx context.Context, collection string, opts ...CallOption) (*search.CollectionSchema, error) {
	return send[search.CollectionSchema](ctx, s.client, opGetCollectionSchema, opts, func(server string) (*http.Request, error) {
		return search.NewGetCollectionSchemaRequest(server, collection)
	})
}

// PutCollectionSchema says which schema a collection should have, in the place of the version that tag names, and brings it there: as it is, or by a reindex. Errors:
// ErrStale, ErrConflict while a reindex is under way.
func (s *Search) PutCollectionSchema(ctx context.Context, collection string, tag ETag, body search.CollectionSchemaPut, opts ...CallOption) (*search.CollectionSchemaOutcome, error) {
	return send[search.CollectionSchemaOutcome](ctx, s.client, opPutCollectionSchema, opts, func(server string) (*http.Request, error) {
		return search.NewPutCollectionSchemaRequest(server, collection, &search.PutCollectionSchemaParams{IfMatch: string(tag)}, body)
	})
}

// StartReindex begins to copy a collection into a new one that takes its place. Errors: ErrConflict while another is under way.
func (s *Search) StartReindex(ctx context.Context, collection string, body search.ReindexStart, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opStartReindex, opts, func(server string) (*http.Request, error) {
		return search.NewStartReindexRequest(server, collection, body)
	})
}

// ListReindexes reads one page of the reindexes of a collection, the newest first; Reindexes reads all.
func (s *Search) ListReindexes(ctx context.Context, collection string, params *search.ListReindexesParams, opts ...CallOption) (*search.ReindexList, error) {
	return send[search.ReindexList](ctx, s.client, opListReindexes, opts, func(server string) (*http.Request, error) {
		return search.NewListReindexesRequest(server, collection, params)
	})
}

// Reindexes yields the reindexes of a collection, the newest first.
func (s *Search) Reindexes(ctx context.Context, collection string, opts ...CallOption) iter.Seq2[search.Reindex, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]search.Reindex, *string, error) {
		page, err := s.ListReindexes(ctx, collection, &search.ListReindexesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetReindex reads how far a reindex is.
func (s *Search) GetReindex(ctx context.Context, collection, reindexID string, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opGetReindex, opts, func(server string) (*http.Request, error) {
		return search.NewGetReindexRequest(server, collection, reindexID)
	})
}

// AbortReindex gives a reindex up that is under way. Error: ErrConflict when it is not.
func (s *Search) AbortReindex(ctx context.Context, collection, reindexID string, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opAbortReindex, opts, func(server string) (*http.Request, error) {
		return search.NewAbortReindexRequest(server, collection, reindexID)
	})
}

// RollbackReindex begins to go back to the collection before a reindex. Error: ErrConflict when that is not kept any more.
func (s *Search) RollbackReindex(ctx context.Context, collection, reindexID string, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opRollbackReindex, opts, func(server string) (*http.Request, error) {
		return search.NewRollbackReindexRequest(server, collection, reindexID)
	})
}
