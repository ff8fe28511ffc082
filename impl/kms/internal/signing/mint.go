package signing

import (
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

// LoginClient is the client_id of tokens that a password gave.
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
	AuthTime                           time.Time // zero: nobody signed in
	Epoch                              int64     // of the subject
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
		ACR: g.ACR, AMR: g.AMR, Epoch: g.Epoch,
	}
	if !g.AuthTime.IsZero() {
		claims.AuthTime = g.AuthTime.Unix()
	}
	text, err := m.Signer.Sign(claims)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Access: text, ExpiresIn: g.Life, Scopes: g.Scopes}, nil
}

// Request narrows what a token is for. Empty fields do not narrow.
type Request struct {
	Scopes    []string
	Resources []string // RFC 8707
}

// Narrow returns the scopes and the audience that a request asks of what its client may have. A scope that it may not have is
// invalid_scope; a resource that is unknown or that no scope reaches is invalid_target (RFC 8707, section 2).
func (m *Mint) Narrow(have []string, r Request) (scopes, audience []string, err error) {
	scopes = have
	if len(r.Scopes) > 0 {
		if !authority.Covers(have, r.Scopes) {
			return nil, nil, domain.Refuse(domain.InvalidScope, "A scope that was asked for is not given to this client.")
		}
		scopes = authority.Both(have, r.Scopes)
	}
	if len(r.Resources) == 0 {
		return scopes, m.Catalogue.Audience(scopes), nil
	}
	var within []string
	for _, resource := range r.Resources {
		word, known := m.Catalogue.Resource(resource)
		if !known {
			return nil, nil, domain.Refuse(domain.InvalidTarget, "The resource is not a service of this family.")
		}
		reached := m.Catalogue.Within(word, scopes)
		if len(reached) == 0 {
			return nil, nil, domain.Refuse(domain.InvalidTarget, "No scope of this client reaches the resource.")
		}
		within, audience = append(within, reached...), append(audience, word)
	}
	sort.Strings(within)
	sort.Strings(audience)
	return slices.Compact(within), slices.Compact(audience), nil
}

// One demands a single audience, which service tokens have.
func One(audience []string) error {
	if len(audience) == 1 {
		return nil
	}
	return domain.Refuse(domain.InvalidTarget, "Name the one service that the token is for in resource.")
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
