package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/search"
)

// ListSearchSets reads one page of the sets of a kind by name, without their contents; SearchSets reads all.
func (s *Search) ListSearchSets(ctx context.Context, kind search.SetKind, params *search.ListSearchSetsParams, opts ...CallOption) (*search.SearchSetList, error) {
	return send[search.SearchSetList](ctx, s.client, opListSearchSets, opts, func(server string) (*http.Request, error) {
		return search.NewListSearchSetsRequest(server, kind, params)
	})
}

// SearchSets yields the sets of a kind by name, without their contents.
func (s *Search) SearchSets(ctx context.Context, kind search.SetKind, opts ...CallOption) iter.Seq2[search.SearchSet, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]search.SearchSet, *string, error) {
		page, err := s.ListSearchSets(ctx, kind, &search.ListSearchSetsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetSearchSet reads a set. IfMatch(set.Version) is the tag for WithIfMatch.
func (s *Search) GetSearchSet(ctx context.Context, kind search.SetKind, name string, opts ...CallOption) (*search.SearchSet, error) {
	return send[search.SearchSet](ctx, s.client, opGetSearchSet, opts, func(server string) (*http.Request, error) {
		return search.NewGetSearchSetRequest(server, kind, name)
	})
}

// PutSearchSet creates or replaces a set of synonyms, curations or stopwords, or a preset. WithIfNoneMatch only creates
// it, WithIfMatch only replaces that version; otherwise ErrStale. Error: ErrConflict if the name belongs to another
// owner, or if the owner has too many sets.
func (s *Search) PutSearchSet(ctx context.Context, kind search.SetKind, name string, body search.SearchSetPut, opts ...CallOption) (*search.SearchSet, error) {
	return send[search.SearchSet](ctx, s.client, opPutSearchSet, opts, func(server string) (*http.Request, error) {
		return search.NewPutSearchSetRequest(server, kind, name, nil, body)
	})
}

// DeleteSearchSet deletes a set.
func (s *Search) DeleteSearchSet(ctx context.Context, kind search.SetKind, name string, opts ...CallOption) error {
	return exec(ctx, s.client, opDeleteSearchSet, opts, func(server string) (*http.Request, error) {
		return search.NewDeleteSearchSetRequest(server, kind, name)
	})
}

// GetCollectionSets reads which synonyms and curations apply to a collection. PutCollectionSets takes its version as
// IfMatch(sets.Version).
func (s *Search) GetCollectionSets(ctx context.Context, collection string, opts ...CallOption) (*search.CollectionSets, error) {
	return send[search.CollectionSets](ctx, s.client, opGetCollectionSets, opts, func(server string) (*http.Request, error) {
		return search.NewGetCollectionSetsRequest(server, collection)
	})
}

// PutCollectionSets sets which synonyms and curations apply to a collection, if tag names the current version. Error:
// ErrStale.
func (s *Search) PutCollectionSets(ctx context.Context, collection string, tag ETag, body search.CollectionSetsPut, opts ...CallOption) (*search.CollectionSets, error) {
	return send[search.CollectionSets](ctx, s.client, opPutCollectionSets, opts, func(server string) (*http.Request, error) {
		return search.NewPutCollectionSetsRequest(server, collection, &search.PutCollectionSetsParams{IfMatch: string(tag)}, body)
	})
}
