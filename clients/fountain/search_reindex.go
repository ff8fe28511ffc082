package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/search"
)

// GetCollectionSchema compares the wanted schema of a collection with its actual one. PutCollectionSchema takes its
// version as IfMatch(schema.Version).
func (s *Search) GetCollectionSchema(ctx context.Context, collection string, opts ...CallOption) (*search.CollectionSchema, error) {
	return send[search.CollectionSchema](ctx, s.client, opGetCollectionSchema, opts, func(server string) (*http.Request, error) {
		return search.NewGetCollectionSchemaRequest(server, collection)
	})
}

// PutCollectionSchema sets the wanted schema of a collection if tag names the current version, and applies it: in
// place, or by a reindex. Errors: ErrStale, ErrConflict while a reindex is running.
func (s *Search) PutCollectionSchema(ctx context.Context, collection string, tag ETag, body search.CollectionSchemaPut, opts ...CallOption) (*search.CollectionSchemaOutcome, error) {
	return send[search.CollectionSchemaOutcome](ctx, s.client, opPutCollectionSchema, opts, func(server string) (*http.Request, error) {
		return search.NewPutCollectionSchemaRequest(server, collection, &search.PutCollectionSchemaParams{IfMatch: string(tag)}, body)
	})
}

// StartReindex starts to copy a collection into a new one that replaces it. Error: ErrConflict while another reindex is
// running.
func (s *Search) StartReindex(ctx context.Context, collection string, body search.ReindexStart, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opStartReindex, opts, func(server string) (*http.Request, error) {
		return search.NewStartReindexRequest(server, collection, body)
	})
}

// ListReindexes reads one page of the reindexes of a collection, newest first; Reindexes reads all.
func (s *Search) ListReindexes(ctx context.Context, collection string, params *search.ListReindexesParams, opts ...CallOption) (*search.ReindexList, error) {
	return send[search.ReindexList](ctx, s.client, opListReindexes, opts, func(server string) (*http.Request, error) {
		return search.NewListReindexesRequest(server, collection, params)
	})
}

// Reindexes yields the reindexes of a collection, newest first.
func (s *Search) Reindexes(ctx context.Context, collection string, opts ...CallOption) iter.Seq2[search.Reindex, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]search.Reindex, *string, error) {
		page, err := s.ListReindexes(ctx, collection, &search.ListReindexesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetReindex reads the progress of a reindex.
func (s *Search) GetReindex(ctx context.Context, collection, reindexID string, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opGetReindex, opts, func(server string) (*http.Request, error) {
		return search.NewGetReindexRequest(server, collection, reindexID)
	})
}

// AbortReindex aborts a running reindex. Error: ErrConflict if it is not running.
func (s *Search) AbortReindex(ctx context.Context, collection, reindexID string, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opAbortReindex, opts, func(server string) (*http.Request, error) {
		return search.NewAbortReindexRequest(server, collection, reindexID)
	})
}

// RollbackReindex starts a rollback to the collection before a reindex. Error: ErrConflict if that collection is no
// longer kept.
func (s *Search) RollbackReindex(ctx context.Context, collection, reindexID string, opts ...CallOption) (*search.Reindex, error) {
	return send[search.Reindex](ctx, s.client, opRollbackReindex, opts, func(server string) (*http.Request, error) {
		return search.NewRollbackReindexRequest(server, collection, reindexID)
	})
}
