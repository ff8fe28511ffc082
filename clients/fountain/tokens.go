package fountain

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/clients/internal/transport"
	"github.com/fountainai/fountain/clients/kms"
)

// TokenSource returns the access token for calls to one service: kms, twofactor, sequence or search, or the name of a
// registered service. It is called for each request and by many goroutines, so it must cache its tokens.
type TokenSource interface {
	Token(ctx context.Context, audience string) (string, error)
}

// TokenSourceFunc is a function that is a TokenSource.
type TokenSourceFunc func(ctx context.Context, audience string) (string, error)

// Token calls f.
func (f TokenSourceFunc) Token(ctx context.Context, audience string) (string, error) {
	return f(ctx, audience)
}

// invalidator is implemented by a TokenSource that wants to know which tokens were refused.
type invalidator interface{ Invalidate(token string) }

// cachedSource is a TokenSource with a cache. Audiences with the same key share a token.
type cachedSource struct {
	cache *transport.Cache
	key   func(audience string) string
}

func (s *cachedSource) Token(ctx context.Context, audience string) (string, error) {
	token, err := s.cache.Get(ctx, s.key(audience))
	return token.Value, err
}

func (s *cachedSource) Invalidate(token string) { s.cache.Drop(token) }

// newToken returns the token of a response to a request sent at asked. It is refreshed when a fifth of its lifetime is
// left, at least 2 s and at most a minute before it expires.
func newToken(t *kms.TokenResponse, asked time.Time) transport.Token {
	life := time.Duration(t.ExpiresIn) * time.Second
	early := min(max(life/5, 2*time.Second), time.Minute)
	return transport.Token{Value: t.AccessToken, Expiry: asked.Add(life), Fresh: asked.Add(life - early)}
}

// newKeySource exchanges an API key for tokens, one per audience.
func newKeySource(c *Client, id, key string) TokenSource {
	grant := "client_credentials"
	fetch := func(ctx context.Context, audience string) (transport.Token, error) {
		asked := c.now()
		t, err := c.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: grant, ClientID: &id, ClientSecret: &key, Resource: &[]string{audience}})
		if err != nil {
			return transport.Token{}, err
		}
		return newToken(t, asked), nil
	}
	return &cachedSource{cache: transport.NewCache(c.now, fetch), key: func(audience string) string { return audience }}
}

var errMalformedKey = errors.New("this is not the text of an API key")

// keyID returns the id of the key with this text: fk_live_<ULID>_<secret> has the id key_<ULID>.
func keyID(key string) (string, error) {
	parts := strings.Split(key, "_")
	if len(parts) != 4 || parts[0] != "fk" || len(parts[2]) != 26 || parts[3] == "" {
		return "", errMalformedKey
	}
	return "key_" + parts[2], nil
}

// refreshGrace is how long after its first use a refresh token may be sent again without being treated as stolen: 10 s,
// less one second for network latency.
const refreshGrace = 9 * time.Second

// session is a signed-in user: a refresh token, and a password if there is one.
type session struct {
	client             *Client
	username, password string
	onRotate           func(string)

	using   sync.Mutex // held during a refresh, because a refresh token works once
	mu      sync.Mutex
	refresh string
}

// newSession makes the source of a user's tokens. All FountainAI services share one token, because a login token is for
// all of them. A token for a registered service is for that service alone.
func newSession(c *Client, s *session) TokenSource {
	return &sessionSource{
		cachedSource: cachedSource{cache: transport.NewCache(c.now, s.fetch), key: func(audience string) string {
			if slices.Contains(family, audience) {
				return ""
			}
			return audience
		}},
		session: s,
	}
}

// family lists the services that a login token is valid for.
var family = []string{"kms", "twofactor", "sequence", "search"}

type sessionSource struct {
	cachedSource
	session *session
}

// forget drops the tokens of the session after a logout.
func (s *sessionSource) forget() {
	s.session.mu.Lock()
	s.session.refresh = ""
	s.session.mu.Unlock()
	s.cache.Clear()
}

// errSignedOut is returned by a session without a password when its refresh token no longer works.
var errSignedOut = errors.New("the session has ended: sign in again")

// fetch renews the session. If there is none or it has ended, it signs in. audience is "" for the FountainAI services,
// or the name of a registered service.
func (s *session) fetch(ctx context.Context, audience string) (transport.Token, error) {
	s.using.Lock()
	defer s.using.Unlock()
	s.mu.Lock()
	refresh := s.refresh
	s.mu.Unlock()
	if refresh != "" {
		token, err := s.renew(ctx, refresh, audience)
		if err == nil || !ended(err) {
			return token, err
		}
		if s.username == "" {
			return transport.Token{}, errors.Join(errSignedOut, err)
		}
	}
	if s.username == "" {
		return transport.Token{}, errSignedOut
	}
	asked := s.client.now()
	t, err := s.client.SignIn(ctx, s.username, s.password)
	if err != nil {
		return transport.Token{}, err
	}
	s.rotate(value(t.RefreshToken))
	if audience != "" {
		return s.renew(ctx, value(t.RefreshToken), audience)
	}
	return newToken(t, asked), nil
}

// renew uses the refresh token. If the response is lost, the request may be repeated, but only within refreshGrace.
func (s *session) renew(ctx context.Context, refresh, audience string) (transport.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshGrace)
	defer cancel()
	asked := s.client.now()
	t, err := s.exchange(ctx, refresh, audience)
	if err != nil {
		return transport.Token{}, err
	}
	s.rotate(value(t.RefreshToken))
	return newToken(t, asked), nil
}

func (s *session) exchange(ctx context.Context, refresh, audience string) (*kms.TokenResponse, error) {
	if audience == "" {
		return s.client.KMS.RefreshToken(ctx, kms.Refresh{RefreshToken: refresh})
	}
	return s.client.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: "refresh_token", RefreshToken: &refresh, Resource: &[]string{audience}})
}

func (s *session) rotate(refresh string) {
	if refresh == "" {
		return
	}
	s.mu.Lock()
	s.refresh = refresh
	s.mu.Unlock()
	if s.onRotate != nil {
		s.onRotate(refresh)
	}
}

// ended reports whether err says that the refresh token will never work again.
func ended(err error) bool {
	e := asError(err)
	return e != nil && e.Code != "" && (e.Status == http.StatusUnauthorized || e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden)
}
