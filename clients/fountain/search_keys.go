package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/search"
)

// CreateSearchKey creates a key with which a browser searches one collection directly at the engine, within the
// caller's tenant and a filter, for a limited time. Error: CodeUnsupportedQuery if the engine is built into the search
// service.
func (s *Search) CreateSearchKey(ctx context.Context, collection string, body search.SearchKeyCreate, opts ...CallOption) (*search.SearchKey, error) {
	return send[search.SearchKey](ctx, s.client, opCreateSearchKey, opts, func(server string) (*http.Request, error) {
		return search.NewCreateSearchKeyRequest(server, collection, body)
	})
}
