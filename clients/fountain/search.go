package fountain

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/search"
)

// Search calls the search service: collections, documents and searches in the search engine behind it.
type Search struct{ client *Client }

// GetEngine describes the search engine in use and what it supports.
func (s *Search) GetEngine(ctx context.Context, opts ...CallOption) (*search.Engine, error) {
	return send[search.Engine](ctx, s.client, opGetEngine, opts, search.NewGetEngineRequest)
}

// CreateCollection creates a collection. Errors: ErrConflict if the name is taken.
func (s *Search) CreateCollection(ctx context.Context, body search.CollectionCreate, opts ...CallOption) (*search.Collection, error) {
	return send[search.Collection](ctx, s.client, opCreateCollection, opts, func(server string) (*http.Request, error) {
		return search.NewCreateCollectionRequest(server, nil, body)
	})
}

// ListCollections reads one page of collections by name; Collections reads all.
func (s *Search) ListCollections(ctx context.Context, params *search.ListCollectionsParams, opts ...CallOption) (*search.CollectionList, error) {
	return send[search.CollectionList](ctx, s.client, opListCollections, opts, func(server string) (*http.Request, error) {
		return search.NewListCollectionsRequest(server, params)
	})
}

// Collections yields the collections by name.
func (s *Search) Collections(ctx context.Context, opts ...CallOption) iter.Seq2[search.Collection, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]search.Collection, *string, error) {
		page, err := s.ListCollections(ctx, &search.ListCollectionsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetCollection reads a collection's schema.
func (s *Search) GetCollection(ctx context.Context, collection string, opts ...CallOption) (*search.Collection, error) {
	return send[search.Collection](ctx, s.client, opGetCollection, opts, func(server string) (*http.Request, error) {
		return search.NewGetCollectionRequest(server, collection)
	})
}

// DeleteCollection deletes a collection with its documents.
func (s *Search) DeleteCollection(ctx context.Context, collection string, opts ...CallOption) error {
	return exec(ctx, s.client, opDeleteCollection, opts, func(server string) (*http.Request, error) {
		return search.NewDeleteCollectionRequest(server, collection)
	})
}

// ListCollectionGrants reads one page of the grants of a collection to callers other than its owner; CollectionGrants
// reads all.
func (s *Search) ListCollectionGrants(ctx context.Context, collection string, params *search.ListCollectionGrantsParams, opts ...CallOption) (*search.GrantList, error) {
	return send[search.GrantList](ctx, s.client, opListCollectionGrants, opts, func(server string) (*http.Request, error) {
		return search.NewListCollectionGrantsRequest(server, collection, params)
	})
}

// CollectionGrants yields the grants of a collection by grantee.
func (s *Search) CollectionGrants(ctx context.Context, collection string, opts ...CallOption) iter.Seq2[search.Grant, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]search.Grant, *string, error) {
		page, err := s.ListCollectionGrants(ctx, collection, &search.ListCollectionGrantsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// PutCollectionGrant lets a service, user, role or tenant ("role:reader") use a collection.
func (s *Search) PutCollectionGrant(ctx context.Context, collection, grantee string, body search.GrantPut, opts ...CallOption) (*search.Grant, error) {
	return send[search.Grant](ctx, s.client, opPutCollectionGrant, opts, func(server string) (*http.Request, error) {
		return search.NewPutCollectionGrantRequest(server, collection, grantee, body)
	})
}

// DeleteCollectionGrant revokes a grant.
func (s *Search) DeleteCollectionGrant(ctx context.Context, collection, grantee string, opts ...CallOption) error {
	return exec(ctx, s.client, opDeleteCollectionGrant, opts, func(server string) (*http.Request, error) {
		return search.NewDeleteCollectionGrantRequest(server, collection, grantee)
	})
}

// SyncDocuments upserts and deletes up to 5,000 documents. The result has the outcome of each. Repeating is safe unless
// an item has IfVersion: a repeat of a change that was made is CodeVersionConflict. The client does not retry such
// calls by itself. StartSync takes more documents.
func (s *Search) SyncDocuments(ctx context.Context, collection string, body search.DocumentSync, opts ...CallOption) (*search.DocumentSyncResult, error) {
	if slices.ContainsFunc(body.Items, func(i search.SyncItem) bool { return i.IfVersion != nil }) {
		opts = append(slices.Clone(opts), withCondition)
	}
	return send[search.DocumentSyncResult](ctx, s.client, opSyncDocuments, opts, func(server string) (*http.Request, error) {
		return search.NewSyncDocumentsRequest(server, collection, nil, body)
	})
}

// GetDocument reads a document. Numbers keep every digit.
func (s *Search) GetDocument(ctx context.Context, collection, documentID string, params *search.GetDocumentParams, opts ...CallOption) (*json.RawMessage, error) {
	return send[json.RawMessage](ctx, s.client, opGetDocument, opts, func(server string) (*http.Request, error) {
		req, err := search.NewGetDocumentRequest(server, collection, documentID, params)
		return ofDocument(req, documentID, err)
	})
}

// PutDocument creates or replaces a document. Repeating is safe unless the call has IfMatch.
func (s *Search) PutDocument(ctx context.Context, collection, documentID string, params *search.PutDocumentParams, body json.RawMessage, opts ...CallOption) error {
	return exec(ctx, s.client, opPutDocument, opts, func(server string) (*http.Request, error) {
		req, err := search.NewPutDocumentRequest(server, collection, documentID, params, body)
		return ofDocument(req, documentID, err)
	})
}

// PatchDocument changes the fields of a document that are in body; null removes an optional field. Repeating is safe
// unless the call has IfMatch. Errors: ErrNotFound.
func (s *Search) PatchDocument(ctx context.Context, collection, documentID string, params *search.PatchDocumentParams, body json.RawMessage, opts ...CallOption) error {
	return exec(ctx, s.client, opPatchDocument, opts, func(server string) (*http.Request, error) {
		req, err := search.NewPatchDocumentRequest(server, collection, documentID, params, body)
		return ofDocument(req, documentID, err)
	})
}

// DeleteDocument deletes a document. Errors: ErrNotFound.
func (s *Search) DeleteDocument(ctx context.Context, collection, documentID string, params *search.DeleteDocumentParams, opts ...CallOption) error {
	return exec(ctx, s.client, opDeleteDocument, opts, func(server string) (*http.Request, error) {
		req, err := search.NewDeleteDocumentRequest(server, collection, documentID, params)
		return ofDocument(req, documentID, err)
	})
}

// DeleteDocumentsByQuery deletes the documents that match a filter, or counts them.
func (s *Search) DeleteDocumentsByQuery(ctx context.Context, collection string, body search.DocumentDeletion, opts ...CallOption) (*search.DocumentDeletionResult, error) {
	return send[search.DocumentDeletionResult](ctx, s.client, opDeleteDocumentsByQuery, opts, func(server string) (*http.Request, error) {
		return search.NewDeleteDocumentsByQueryRequest(server, collection, body)
	})
}

// SearchDocuments searches a collection.
func (s *Search) SearchDocuments(ctx context.Context, collection string, body search.DocumentSearch, opts ...CallOption) (*search.DocumentSearchResult, error) {
	return send[search.DocumentSearchResult](ctx, s.client, opSearchDocuments, opts, func(server string) (*http.Request, error) {
		return search.NewSearchDocumentsRequest(server, collection, body)
	})
}

// MultiSearch runs up to 50 searches, each in its own collection. The result has the outcome of each.
func (s *Search) MultiSearch(ctx context.Context, body search.MultiSearch, opts ...CallOption) (*search.SearchOutcomes, error) {
	return send[search.SearchOutcomes](ctx, s.client, opMultiSearch, opts, func(server string) (*http.Request, error) {
		return search.NewMultiSearchRequest(server, body)
	})
}

// UnionSearch searches several collections and returns one list of hits.
func (s *Search) UnionSearch(ctx context.Context, body search.UnionSearch, opts ...CallOption) (*search.SearchUnion, error) {
	return send[search.SearchUnion](ctx, s.client, opUnionSearch, opts, func(server string) (*http.Request, error) {
		return search.NewUnionSearchRequest(server, body)
	})
}

// GetSearchHealth reports that the service's process is alive.
func (s *Search) GetSearchHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, s.client, opGetSearchHealth, opts, search.NewGetSearchHealthRequest)
}

// GetSearchReadiness reports whether the service can serve requests. Error: ErrUnavailable if it cannot.
func (s *Search) GetSearchReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, s.client, opGetSearchReadiness, opts, search.NewGetSearchReadinessRequest)
}
