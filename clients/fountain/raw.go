package fountain

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
)

// Raw holds the generated clients. They send a request once and return the response unread. They are for streams, and
// for tests that send malformed requests on purpose. They add the client's access token unless the request has an
// Authorization header; a request editor that sets the header to "" sends none. They do not retry, step up or decode.
type Raw struct {
	KMS       *kms.Client
	Twofactor *twofactor.Client
	Sequence  *sequence.Client
	Search    *search.Client
	Gateway   *gateway.Client
	client    *Client
}

// Raw returns the generated clients, which use this client's connections and credentials.
func (c *Client) Raw() *Raw {
	return &Raw{
		KMS:       &kms.Client{Server: c.server("kms"), Client: &rawDoer{c, "kms"}},
		Twofactor: &twofactor.Client{Server: c.server("twofactor"), Client: &rawDoer{c, "twofactor"}},
		Sequence:  &sequence.Client{Server: c.server("sequence"), Client: &rawDoer{c, "sequence"}},
		Search:    &search.Client{Server: c.server("search"), Client: &rawDoer{c, "search"}},
		Gateway:   &gateway.Client{Server: c.server("gateway"), Client: &rawDoer{c, "gateway"}},
		client:    c,
	}
}

// Do sends any request once. If the request has no Authorization header, Do adds the access token for the service; the
// request must then go to that service's address, so that the token reaches no other host. The caller closes the body
// of the response.
func (r *Raw) Do(service string, req *http.Request) (*http.Response, error) {
	return (&rawDoer{r.client, service}).Do(req)
}

// URL returns the address of a path below a service's base path, for requests made by hand.
func (r *Raw) URL(service, path string) string {
	server := r.client.server(service)
	return server[:len(server)-1] + path
}

// rawDoer adds the user agent and the access token to the requests of the generated clients.
type rawDoer struct {
	client *Client
	word   string
}

func (d *rawDoer) Do(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", d.client.sender.UserAgent)
	}
	if given, ok := req.Header["Authorization"]; ok {
		if len(given) == 1 && given[0] == "" {
			req.Header.Del("Authorization")
		}
	} else if err := d.authorize(req.Context(), req); err != nil {
		return nil, err
	}
	return d.client.sender.HTTP.Do(req)
}

func (d *rawDoer) authorize(ctx context.Context, req *http.Request) error {
	if d.client.source == nil || d.word == "gateway" {
		return nil
	}
	if !strings.HasPrefix(d.client.server(d.word), req.URL.Scheme+"://"+req.URL.Host+"/") {
		return fmt.Errorf("%s://%s is not the address of %s: set the request's Authorization header", req.URL.Scheme, req.URL.Host, d.word)
	}
	token, err := d.client.source.Token(ctx, d.word)
	if err == nil && token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}
