package signing

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
)

// The lifetimes of tokens.
const (
	UserLife    = 10 * time.Minute // after a sign-in, a refresh, or from a user's API key
	ServiceLife = 15 * time.Minute
	StepUpLife  = 5 * time.Minute
)

// LoginClient is the client_id of tokens that were issued at a sign-in.
const LoginClient = "fountain"

// Signer signs claims.
type Signer interface {
	Sign(claims *auth.Claims) (string, error)
}

// Grant is the content of a token.
type Grant struct {
	Subject, Kind, ClientID, SessionID string
	Username                           string // only of users
	Scopes, Audience, Roles            []string
	ACR                                string
	AMR                                []string
	Factor                             string    // the type of the second factor behind ACR; "" for none
	AuthTime                           time.Time // zero: there was no sign-in
	Epoch                              int64     // of the subject
	Tenant                             string    // of the subject; "": the default one
	Life                               time.Duration
}

// Issued is a token with the facts that its receiver is told. Refresh is empty when no refresh token is issued.
type Issued struct {
	Access, Refresh string
	ExpiresIn       time.Duration
	Scopes          []string
}

// Mint issues tokens. It is safe for concurrent use.
type Mint struct {
	Issuer    string
	Signer    Signer
	Catalogue *authority.Catalogue
	Clock     clock.Clock
}

// Issue signs a token for the grant.
func (m *Mint) Issue(g Grant) (Issued, error) {
	now := m.Clock.Now()
	claims := &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: m.Issuer, Subject: g.Subject, Audience: g.Audience, ID: id.New("tok"),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(g.Life)),
		},
		ClientID: g.ClientID, Scope: strings.Join(g.Scopes, " "), Roles: g.Roles, Principal: g.Kind, Username: g.Username, SessionID: g.SessionID,
		ACR: g.ACR, AMR: g.AMR, Factor: g.Factor, Epoch: g.Epoch, Tenant: g.Tenant,
	}
	if !g.AuthTime.IsZero() {
		claims.AuthTime = g.AuthTime.Unix()
	}
	text, err := m.Signer.Sign(claims)
	if err != nil {
		return Issued{}, fmt.Errorf("sign access token: %w", err)
	}
	return Issued{Access: text, ExpiresIn: g.Life, Scopes: g.Scopes}, nil
}

// Request narrows a token. Empty fields do not narrow it.
type Request struct {
	Scopes    []string
	Resources []string // RFC 8707
}

// Narrow returns the scopes and the audience of a token for the request, out of the scopes that its client has. A scope that the client does not have is
// domain.InvalidScope. A resource that is unknown or that no scope belongs to is domain.InvalidTarget (RFC 8707, section 2). Without a resource the token is
// for the services of the family that the scopes belong to. A token for a registered service is for that service alone, and must name it as resource.
func (m *Mint) Narrow(have []string, r Request) (scopes, audience []string, err error) {
	scopes, err = narrowScopes(have, r)
	if err != nil {
		return nil, nil, err
	}
	if len(r.Resources) > 0 {
		return m.within(scopes, r.Resources)
	}
	family := m.Catalogue.Family(scopes)
	if len(r.Scopes) > 0 && len(family) < len(scopes) {
		return nil, nil, domain.Refuse(domain.InvalidTarget, "Set resource to the registered service that the scopes belong to.")
	}
	return family, m.Catalogue.Audience(family), nil
}

// NarrowOne is Narrow for tokens that are for exactly one service. Without a resource it is the service that the scopes belong to.
func (m *Mint) NarrowOne(have []string, r Request) (scopes, audience []string, err error) {
	scopes, err = narrowScopes(have, r)
	if err != nil {
		return nil, nil, err
	}
	if len(r.Resources) > 0 {
		scopes, audience, err = m.within(scopes, r.Resources)
	} else {
		audience = append(m.Catalogue.Audience(scopes), m.Catalogue.Servers(scopes)...)
	}
	if err == nil && len(audience) != 1 {
		err = domain.Refuse(domain.InvalidTarget, "Set resource to the one service that the token is for.")
	}
	return scopes, audience, err
}

func narrowScopes(have []string, r Request) ([]string, error) {
	switch {
	case len(r.Scopes) == 0:
		return have, nil
	case !authority.Covers(have, r.Scopes):
		return nil, domain.Refuse(domain.InvalidScope, "A requested scope is not granted to this client.")
	}
	return authority.Both(have, r.Scopes), nil
}

// within returns the scopes that belong to the resources, and the resulting audience.
func (m *Mint) within(scopes, resources []string) (within, audience []string, err error) {
	registered := false
	for _, resource := range resources {
		service, family := m.Catalogue.Resource(resource)
		if !family {
			service, registered = resource, true
		}
		reached := m.Catalogue.Within(service, scopes)
		if len(reached) == 0 {
			return nil, nil, domain.Refuse(domain.InvalidTarget, "The resource is not a service, or none of this client's scopes is for it.")
		}
		within, audience = append(within, reached...), append(audience, service)
	}
	sort.Strings(within)
	sort.Strings(audience)
	within, audience = slices.Compact(within), slices.Compact(audience)
	if registered && len(audience) > 1 {
		// One of the services that receives the token could otherwise use it at the others.
		return nil, nil, domain.Refuse(domain.InvalidTarget, "A token for a registered service can't be for other services too; request a separate token for each.")
	}
	return within, audience, nil
}

// WithRotateOwn adds to the scopes of a service's key the one that every such key has, but only when the request is for the kms. Otherwise every key would
// reach two services, and none could leave out the resource.
func WithRotateOwn(have []string, r Request, catalogue *authority.Catalogue) []string {
	if !r.names(catalogue, "kms") && !slices.Contains(r.Scopes, authority.RotateOwn) || slices.Contains(have, authority.RotateOwn) {
		return have
	}
	return append(slices.Clone(have), authority.RotateOwn)
}

// names reports whether the request names the service with this word as a resource.
func (r Request) names(catalogue *authority.Catalogue, word string) bool {
	return slices.ContainsFunc(r.Resources, func(resource string) bool {
		named, known := catalogue.Resource(resource)
		return known && named == word
	})
}
