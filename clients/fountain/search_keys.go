package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/search"
)

// CreateSearchKey makes a key by which a browser searches one collection at the engine itself, within the caller's tenant and a filter, for a while. An engine that is a part of the search service takes none: CodeUnsupportedQuery.
func (s *Search) CreateSearchKey(ctx context.Context, collection string, body search.SearchKeyCreate, opts ...CallOption) (*search.SearchKey, error) {
	return send[search.SearchKey](ctx, s.client, opCreateSearchKey, opts, func(server string) (*http.Request, error) {
		return search.NewCreateSearchKeyRequest(server, collection, body)
	})
}
