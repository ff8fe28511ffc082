package searchsync

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/search"
)

const (
	audience   = "search" // of the tokens that the search service accepts
	maxAnswer  = 64 << 20 // bytes
	maxProblem = 64 << 10 // bytes
)

// Identity authenticates this service to the search service.
type Identity interface {
	// Token returns an access token of this service for an audience.
	Token(ctx context.Context, audience string) (string, error)
	// Forget drops a token that was not accepted.
	Forget(audience string)
}

// remote calls the search service. Every call carries this service's own token. The token of a caller is never sent there.
type remote struct {
	client *search.Client
	who    Identity
}

// newRemote returns a remote for the search service at a base URL such as https://search:8001.
func newRemote(url string, doer *http.Client, who Identity) (*remote, error) {
	client, err := search.NewClient(strings.TrimSuffix(url, "/")+"/search/v1/", search.WithHTTPClient(doer),
		search.WithRequestEditorFn(func(ctx context.Context, r *http.Request) error {
			text, err := who.Token(ctx, audience)
			if err != nil {
				return fmt.Errorf("token for the search service: %w", err)
			}
			r.Header.Set("Authorization", "Bearer "+text)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("client of the search service: %w", err)
	}
	return &remote{client: client, who: who}, nil
}

// refusal is an answer of the search service with a status of 300 or above.
type refusal struct {
	status int
	code   string // of its problem
}

func (r *refusal) Error() string {
	return fmt.Sprintf("search service answered %d %s", r.status, r.code)
}

// read decodes a successful answer into out, and returns a *refusal for any other.
func (r *remote) read(response *http.Response, err error, out any) error {
	if err != nil {
		return fmt.Errorf("call search service: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		var p common.Problem
		// An answer that is no problem document has a status and no code.
		_ = json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&p)
		if response.StatusCode == http.StatusUnauthorized {
			r.who.Forget(audience)
		}
		return &refusal{status: response.StatusCode, code: p.Code}
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read answer of search service: %w", err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("answer of search service is larger than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("decode answer of search service: %w", err)
	}
	return nil
}

func (r *remote) sync(ctx context.Context, items []search.SyncItem) (out search.DocumentSyncResult, err error) {
	response, err := r.client.SyncDocuments(ctx, Collection, nil, search.DocumentSync{Items: items})
	return out, r.read(response, err, &out)
}

func (r *remote) search(ctx context.Context, q search.DocumentSearch) (out search.DocumentSearchResult, err error) {
	response, err := r.client.SearchDocuments(ctx, Collection, q)
	return out, r.read(response, err, &out)
}

func (r *remote) collection(ctx context.Context) (out search.Collection, err error) {
	response, err := r.client.GetCollection(ctx, Collection)
	return out, r.read(response, err, &out)
}

func (r *remote) create(ctx context.Context) error {
	var out search.Collection
	response, err := r.client.CreateCollection(ctx, nil, schema())
	return r.read(response, err, &out)
}
