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

// The lives of tokens.
const (
	UserLife    = 10 * time.Minute // after a sign-in, a refresh, or from a user's API key
	ServiceLife = 15 * time.Minute
	StepUpLife  = 5 * time.Minute
)

// LoginClient is the client_id of tokens that a sign-in gave.
const LoginClient = "fountain"

// Signer signs claims.
type Signer interface {
	Sign(claims *auth.Claims) (string, error)
}

// Grant is what a token is to say.
type Grant struct {
	Subject, Kind, ClientID, SessionID string
	Username                           string // of users
	Scopes, Audience, Roles            []string
	ACR                                string
	AMR                                []string
	Factor                             string    // the type of the second factor behind ACR; "" for none
	AuthTime                           time.Time // zero: nobody signed in
	Epoch                              int64     // of the subject
	Tenant                             string    // of the subject; "": the default one
	Life                               time.Duration
}

// Issued is a token and what its receiver is told about it. Refresh is empty where none is given.
type Issued struct {
	Access, Refresh string
	ExpiresIn       time.Duration
	Scopes          []string
}

// Mint makes tokens. It is safe for concurrent use.
type Mint struct {
	Issuer    string
	Signer    Signer
	Catalogue *authority.Catalogue
	Clock     clock.Clock
}

// Issue signs a token.
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

// Request narrows what a token is for. Empty fields do not narrow.
type Request struct {
	Scopes    []string
	Resources []string // RFC 8707
}

// Narrow returns the scopes and the audience that a request asks of what its client may have. A scope that it may not have is
// invalid_scope; a resource that is unknown or that no scope reaches is invalid_target (RFC 8707, section 2). Without resource the token is
// for the family's services that the scopes reach. One for a registered service is for that service alone, and is asked for by its name.
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
		return nil, nil, domain.Refuse(domain.InvalidTarget, "Name the registered service that the scopes are for in resource.")
	}
	return family, m.Catalogue.Audience(family), nil
}

// NarrowOne is Narrow for tokens that are for exactly one service; without resource it is the one that the scopes reach.
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
		err = domain.Refuse(domain.InvalidTarget, "Name the one service that the token is for in resource.")
	}
	return scopes, audience, err
}

func narrowScopes(have []string, r Request) ([]string, error) {
	switch {
	case len(r.Scopes) == 0:
		return have, nil
	case !authority.Covers(have, r.Scopes):
		return nil, domain.Refuse(domain.InvalidScope, "A scope that was asked for is not given to this client.")
	}
	return authority.Both(have, r.Scopes), nil
}

// within returns those of the scopes that belong to the resources, and their audience.
func (m *Mint) within(scopes, resources []string) (within, audience []string, err error) {
	registered := false
	for _, resource := range resources {
		service, family := m.Catalogue.Resource(resource)
		if !family {
			service, registered = resource, true
		}
		reached := m.Catalogue.Within(service, scopes)
		if len(reached) == 0 {
			return nil, nil, domain.Refuse(domain.InvalidTarget, "The resource is no service, or no scope of this client reaches it.")
		}
		within, audience = append(within, reached...), append(audience, service)
	}
	sort.Strings(within)
	sort.Strings(audience)
	within, audience = slices.Compact(within), slices.Compact(audience)
	if registered && len(audience) > 1 {
		// Whoever the token is shown to could use it at the others.
		return nil, nil, domain.Refuse(domain.InvalidTarget, "A token for a registered service is for that one alone.")
	}
	return within, audience, nil
}

// WithRotateOwn returns the scopes of a service's key with the one that every such key has, where the request is for the kms:
// otherwise every key would reach two services and none could leave resource out.
func WithRotateOwn(have []string, r Request, catalogue *authority.Catalogue) []string {
	if !r.names(catalogue, "kms") && !slices.Contains(r.Scopes, authority.RotateOwn) || slices.Contains(have, authority.RotateOwn) {
		return have
	}
	return append(slices.Clone(have), authority.RotateOwn)
}

// names reports whether the request names the service of a word.
func (r Request) names(catalogue *authority.Catalogue, word string) bool {
	return slices.ContainsFunc(r.Resources, func(resource string) bool {
		named, known := catalogue.Resource(resource)
		return known && named == word
	})
}
