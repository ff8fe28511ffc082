package verify

import (
	"context"
	"slices"
	"time"
)

// Kinds of principals.
const (
	User    = "user"
	Service = "service"
)

// Principal is the caller that a verified access token identifies.
type Principal struct {
	Subject   string // sub: usr_... or svc_...
	Kind      string // User or Service
	Username  string // preferred_username of a user, for display only; may be "" and may change
	ClientID  string // client_id: the API key's id, or "fountain" for a password login
	SessionID string // sid; "" for services
	TokenID   string // jti
	Tenant    string // the tenant of the subject; "" is the default one
	Scopes    []string
	Roles     []string // users only
	ACR       string   // aal1, aal2 or phr; "" if the token has none
	AMR       []string // RFC 8176
	AuthTime  time.Time
	IssuedAt  time.Time
	Expires   time.Time
	Epoch     int64 // of the subject when the token was issued; raising the subject's epoch revokes all its earlier tokens
}

// HasScope reports whether the token carries a scope.
func (p *Principal) HasScope(scope string) bool { return slices.Contains(p.Scopes, scope) }

// HasRole reports whether the user has a role.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

type principalKey struct{}

// NewContext returns a context that carries the principal. It is for tests of handlers.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the principal of the request. It returns false if the operation is public.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok
}
