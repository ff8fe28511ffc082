// Package openid signs people in at web apps by OpenID Connect 1.0. It supports only the authorization code flow with PKCE.
package openid

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
)

// Client is a web app that signs people in. Each code it exchanges starts a session of its own, which its tokens belong to.
type Client struct {
	ID, Name               string
	SecretHash             []byte   // of a confidential client; nil for a public one
	RedirectURIs           []string // compared byte by byte
	PostLogoutRedirectURIs []string
	Scopes                 []string // that it may request at services; sorted
	Trusted                bool     // the team's own app: people are not asked for consent
	Version                int64
	CreatedAt, UpdatedAt   time.Time
}

// Confidential reports whether the client has a secret.
func (c Client) Confidential() bool { return c.SecretHash != nil }

// maxClients is the limit of clients.
const maxClients = 200

// newSecret returns a new client secret and its hash. The hash needs no key: the secret has 256 random bits.
func newSecret() (text string, hash []byte) {
	text = "cs_" + random()
	return text, hashOf(text)
}

func random() string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// authentic refuses a wrong secret; a public client must send none.
func (c Client) authentic(secret string) error {
	if !c.Confidential() && secret == "" || c.Confidential() && subtle.ConstantTimeCompare(hashOf(secret), c.SecretHash) == 1 {
		return nil
	}
	return invalidClient()
}

func invalidClient() error {
	return domain.Refuse(domain.InvalidClient, "The client is unknown or its secret is wrong.")
}

// reservedQuery are the parameters of an authorization response, which a redirect URI may not contain.
var reservedQuery = []string{"code", "error", "error_description", "error_uri", "iss", "state"}

// checkURIs refuses invalid redirect URIs (RFC 9700, section 2.1). A URI must be https, or http on a loopback address or localhost, without user, fragment
// and wildcard. field is the JSON pointer to the URIs in the body.
func checkURIs(field string, uris []string) error {
	for _, raw := range uris {
		if why := wrongURI(raw); why != "" {
			return domain.Refuse(domain.ValidationFailed, "A redirect URI can't be registered: it "+why+".").WithField("body", field, "uri", why)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(uris)))) < len(uris) {
		return domain.Refuse(domain.ValidationFailed, "A redirect URI is listed twice.").WithField("body", field, "uniqueItems", "contains a URI twice")
	}
	return nil
}

// wrongURI returns why a redirect URI can't be registered; "" for a valid one.
func wrongURI(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.String() != raw:
		return "is not an absolute URL in its normal form"
	case u.User != nil:
		return "has a user"
	case strings.Contains(raw, "#"):
		return "has a fragment"
	case strings.Contains(raw, "*"):
		return "has a wildcard"
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return "is neither https nor http on a loopback address or localhost"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "has a query that can't be read"
	}
	for _, name := range reservedQuery {
		if query.Has(name) {
			return "has a parameter in its query that is reserved for the answer"
		}
	}
	return ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// checkScopes refuses scopes that a web app may not request: those of the kms and of twofactor, with which it could act like the person's browser, and unknown
// ones. It returns the scopes sorted.
func (p *Provider) checkScopes(ctx context.Context, declares func(ctx context.Context, scopes []string) ([]string, error), scopes []string) ([]string, error) {
	declared, err := declares(ctx, scopes)
	if err != nil {
		return nil, fmt.Errorf("read declared scopes: %w", err)
	}
	for _, scope := range scopes {
		if !p.Mint.Catalogue.Delegable(scope) && !slices.Contains(declared, scope) {
			return nil, domain.Refuse(domain.ValidationFailed, "A web app can't request one of the scopes.").
				WithField("body", "/scopes", "enum", "contains a scope that is neither one of sequence or search nor declared by a registered service")
		}
	}
	sorted := slices.Clone(scopes)
	sort.Strings(sorted)
	return slices.Compact(sorted), nil
}

// narrowed reports whether a scope was removed.
func narrowed(before, after Client) bool { return !authority.Covers(after.Scopes, before.Scopes) }
