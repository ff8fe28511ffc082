// Package auth is the only place where tokens are parsed and where it is decided whether their bearer may call an operation. Every service and the
// gateway use the same code, so that bypassing the gateway gains nothing.
package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/problem"
)

// Kinds of principal.
const (
	KindUser    = "user"
	KindService = "service"
)

// Principal is the user or service that a verified access token stands for.
type Principal struct {
	Subject   string   // sub: usr_... or svc_...
	Kind      string   // KindUser or KindService
	Username  string   // preferred_username of a user, for showing only; may be "" and may change
	ClientID  string   // client_id: the API key's id, or "fountain" for a password login
	SessionID string   // sid: the refresh family; "" for services
	TokenID   string   // jti
	KeyID     string   // kid: which key of the kms has signed the token
	Epoch     int64    // of the subject when the token was issued; raising the subject's epoch ends all its earlier tokens
	Tenant    string   // the tenant of the subject; "" is the default one
	Audience  []string // words of services
	Scopes    []string
	Roles     []string // users only
	ACR       string   // aal1, aal2, phr; "" when nothing is claimed
	AMR       []string // RFC 8176
	Factor    string   // the type of the second factor behind ACR, for a user; "" for none
	AuthTime  time.Time
	IssuedAt  time.Time
	Expires   time.Time
	Token     string // the token itself, to be handed on only where the design says so
}

// HasScope reports whether the token carries a scope.
func (p *Principal) HasScope(scope string) bool { return slices.Contains(p.Scopes, scope) }

func (p *Principal) hasScopes(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !p.HasScope(s) })
}

// AnyAudience accepts a token of any audience. Only the kms uses it, because it introspects tokens for other services (RFC 7662).
const AnyAudience = "*"

func (p *Principal) hasAudience(word string) bool {
	return word == AnyAudience || slices.Contains(p.Audience, word)
}

// HasRole reports whether the user has a role.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

// PrincipalKey is the context key of the request's *Principal.
type PrincipalKey struct{}

// NewContext returns a context that carries the principal.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, PrincipalKey{}, p)
}

// FromContext returns the principal of the request; false at public operations.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(PrincipalKey{}).(*Principal)
	return p, ok
}

// realm is the realm of WWW-Authenticate (RFC 9110, section 11.5).
const realm = "fountain"

// Bearer returns the request's bearer token (RFC 6750, section 2.1). A request without credentials fails with authentication_required, whose
// challenge names no error. A malformed or repeated Authorization header fails with invalid_token.
func Bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", problem.New(problem.AuthenticationRequired, "This operation needs a bearer token.").
			WithHeader("WWW-Authenticate", `Bearer realm="`+realm+`"`)
	}
	if len(values) > 1 {
		return "", invalidToken("more than one Authorization header")
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || token == "" ||
		strings.IndexByte(token, ' ') >= 0 || strings.IndexByte(token, '\t') >= 0 || strings.IndexByte(token, ',') >= 0 { // faster than ContainsAny
		return "", invalidToken("the Authorization header is not Bearer with one token")
	}
	return token, nil
}
