package fountain

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/internal/transport"
)

// Version is the version of the SDK.
const Version = "0.1.0"

const (
	defaultTimeout     = 60 * time.Second
	defaultMaxResponse = 32 << 20
	budgetCapacity     = 500
	budgetCost         = 5
)

// Client calls the services of one FountainAI installation. It is safe for concurrent use. Create one and keep it,
// because it holds the connections and the tokens.
type Client struct {
	KMS       *KMS
	Twofactor *Twofactor
	Sequence  *Sequence
	Search    *Search
	Gateway   *Gateway

	base     string // without a slash at its end
	services map[string]string
	sender   transport.Sender
	source   TokenSource // nil: anonymous
	raiser   *raiser     // nil: challenges are returned
	sentBy   string      // the channel of WithSentCode; "" for none
	retry    RetryPolicy
	budget   *transport.Budget
	now      func() time.Time
}

// New returns a client for the services behind the gateway at baseURL, for example "https://api.example.org". It sends
// no request. Without a credential option, only public operations work.
func New(baseURL string, opts ...Option) (*Client, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	s := settings{timeout: defaultTimeout, maxResponse: defaultMaxResponse, retry: DefaultRetry}
	for _, opt := range opts {
		if err := opt(&s); err != nil {
			return nil, err
		}
	}
	httpClient, err := s.client()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, services: s.serviceURLs, retry: s.retry, now: time.Now,
		budget: transport.NewBudget(budgetCapacity, budgetCost),
		sender: transport.Sender{HTTP: httpClient, UserAgent: userAgent(s.userAgent), MaxBody: s.maxResponse, Timeout: s.timeout},
	}
	c.KMS, c.Twofactor, c.Sequence = &KMS{c}, &Twofactor{c}, &Sequence{c}
	c.Search, c.Gateway = &Search{c}, &Gateway{c}
	if s.source != nil {
		c.source = s.source(c)
	}
	if s.stepUp != nil {
		c.raiser = newRaiser(c, s.stepUp, s.raised)
		c.sentBy = s.sentBy
	}
	return c, nil
}

// Token returns the access token that a call to the service (kms, twofactor, sequence or search) would carry now. It is
// for use outside this SDK. It returns "" if the client has no credential.
func (c *Client) Token(ctx context.Context, service string) (string, error) {
	if c.source == nil {
		return "", nil
	}
	return c.source.Token(ctx, service)
}

// CloseIdle closes idle connections.
func (c *Client) CloseIdle() { c.sender.HTTP.CloseIdleConnections() }

// server returns the address that the request builders of a service take.
func (c *Client) server(word string) string {
	base, ok := c.services[word]
	if !ok {
		base = c.base
	}
	return base + basePath(word) + "/"
}

func parseBase(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", errors.New("the base URL must be an absolute http or https URL")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the base URL must have no user, query or fragment")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func userAgent(product string) string {
	own := fmt.Sprintf("fountain-go/%s go/%s", Version, strings.TrimPrefix(runtime.Version(), "go"))
	if product == "" {
		return own
	}
	return product + " " + own
}

// client makes the HTTP client: a new one, or a copy of the one given. It never follows redirects, because a redirect
// would carry a credential to an address that the caller did not name.
func (s *settings) client() (*http.Client, error) {
	var h http.Client
	switch {
	case s.httpClient != nil && s.rootCAs != nil:
		return nil, errors.New("WithRootCAs and WithHTTPClient exclude each other: set the roots in the HTTP client")
	case s.httpClient != nil:
		h = *s.httpClient
	default:
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 512, 256
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.rootCAs}
		h.Transport = t
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if h.Transport == nil {
		h.Transport = http.DefaultTransport
	}
	for i := len(s.middleware) - 1; i >= 0; i-- {
		h.Transport = s.middleware[i](h.Transport)
	}
	return &h, nil
}
