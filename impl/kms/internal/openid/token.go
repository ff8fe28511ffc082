package openid

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Tokens are the tokens issued for a code.
type Tokens struct {
	signing.Issued
	ID string // the ID token
}

// Presented is what a client sends to the token endpoint.
type Presented struct {
	ClientID, Secret            string
	Code, RedirectURI, Verifier string
}

// Trade exchanges a code for tokens, once. An unknown client and one that fails to authenticate are domain.InvalidClient. Everything else is the same
// domain.InvalidGrant: a code that is unknown, has expired, was used, belongs to another client, or was issued for another redirect URI or challenge, or
// whose person, session or client has ended. When a client presents a used code again, the session it was exchanged for is ended.
func (p *Provider) Trade(ctx context.Context, in Presented, r signing.Request) (tokens Tokens, err error) {
	defer tried.To(&err, "trade code")
	if err := p.Authenticate(ctx, in.ClientID, in.Secret); err != nil { // before any row is locked for an unauthenticated client
		return Tokens{}, err
	}
	if in.Code == "" || in.RedirectURI == "" || in.Verifier == "" {
		return Tokens{}, domain.Refuse(domain.InvalidRequest, "The code, its redirect URI or the code verifier is missing.")
	}
	refused := false
	err = p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		refused, err = p.exchange(ctx, tx, in, r, &tokens)
		return err
	})
	if err == nil && refused {
		err = domain.Refuse(domain.InvalidGrant, "The authorization code is unknown, used or expired, or was issued for another request.")
	}
	if err != nil {
		return Tokens{}, err
	}
	return tokens, nil
}

// exchange locks the rows behind the code in the order of Standing.Hold, with the client last, uses the code, and issues the tokens.
func (p *Provider) exchange(ctx context.Context, tx *store.Tx, in Presented, r signing.Request, tokens *Tokens) (refused bool, err error) {
	hash := hashOf(in.Code)
	c, found, err := p.Rows.Code(ctx, tx, hash)
	if err != nil || !found {
		return true, err
	}
	owner, active, err := p.Sessions.Active(ctx, tx, c.UserID)
	if err != nil || !active {
		return true, err
	}
	now := domain.Now(p.Clock)
	live, err := p.Standing.Rows.LiveSession(ctx, tx, c.SessionID, c.UserID, now)
	if err != nil || !live {
		return true, err
	}
	client, err := p.authenticate(ctx, tx, in.ClientID, in.Secret, authority.Shared)
	if err != nil {
		return false, err
	}
	f := session.Family{
		ID: id.New("ses"), UserID: c.UserID, ClientID: client.ID, AuthTime: c.AuthTime, CreatedAt: now, Level: c.Level, Parent: c.SessionID, Scopes: c.Scopes,
	}
	used, err := p.Rows.UseCode(ctx, tx, hash, client.ID, in.RedirectURI, challengeOf(in.Verifier), f.ID, now)
	if err != nil {
		return false, fmt.Errorf("use code: %w", err)
	}
	if !used {
		return true, p.endReused(ctx, tx, hash, client.ID)
	}
	if !slices.Contains(client.RedirectURIs, in.RedirectURI) {
		return true, nil // the URI was removed meanwhile; the code is used up
	}
	return false, p.begin(ctx, tx, owner, client, f, c.Nonce, r, tokens)
}

// challengeOf returns the S256 challenge of a verifier (RFC 7636, section 4.2). For a text that is no valid verifier it is "", which equals no challenge.
func challengeOf(verifier string) string {
	if len(verifier) < 43 || len(verifier) > 128 {
		return ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// endReused ends the session that a code was exchanged for when its client presents it again, since the code may have leaked (RFC 6749, section 4.1.2).
func (p *Provider) endReused(ctx context.Context, tx *store.Tx, hash []byte, clientID string) error {
	c, found, err := p.Rows.Code(ctx, tx, hash)
	if err != nil || !found || c.Gave == "" || c.ClientID != clientID {
		return err
	}
	return p.Sessions.EndOfApp(ctx, tx, c.Gave, "code used twice", auditlog.Event{
		Action: "issueToken", Actor: c.UserID, Kind: auth.KindUser, Outcome: auditlog.Denied, Detail: map[string]string{"security": "code used twice", "client": clientID},
	})
}

// begin starts the client's session and issues its tokens. The rows behind them are locked.
func (p *Provider) begin(ctx context.Context, tx *store.Tx, owner authority.Owner, client Client, f session.Family, nonce string, r signing.Request, tokens *Tokens) error {
	parent, _, err := p.Sessions.Rows.Find(ctx, tx, f.Parent)
	if err != nil {
		return err
	}
	f.ExpiresAt = parent.ExpiresAt
	if tokens.Issued, err = p.access(owner, client, f, r); err != nil {
		return err
	}
	if tokens.Refresh, err = p.Sessions.BeginOfApp(ctx, tx, f, has(f.Scopes, offline)); err != nil {
		return err
	}
	if tokens.ID, err = p.identity(owner, f, nonce); err != nil {
		return err
	}
	return p.audit.Append(ctx, tx, auditlog.Event{
		Action: "issueToken", Actor: owner.ID, Kind: auth.KindUser, Target: f.ID,
		Detail: auditlog.Granted(map[string]string{"client": client.ID, "session": f.Parent}, tokens.Scopes, nil),
	})
}

// access issues a client's access token: for userinfo, and for the services of the granted scopes, as far as client and user still have them. Its level is always
// that of a password: an app can't present the person's second factor to operations that require one.
func (p *Provider) access(u authority.Owner, client Client, f session.Family, r signing.Request) (signing.Issued, error) {
	have := append([]string{openID}, authority.Both(f.Scopes, authority.Both(client.Scopes, u.Scopes))...)
	told := authority.Both(f.Scopes, []string{offline, profile})
	if len(r.Scopes) > 0 {
		r.Scopes = slices.DeleteFunc(slices.Clone(r.Scopes), func(scope string) bool { return has(told, scope) })
		if len(r.Scopes) == 0 { // an empty list would request all scopes
			r.Scopes = []string{openID}
		}
	}
	scopes, audience, err := p.Mint.Narrow(have, r)
	if err != nil {
		return signing.Issued{}, err
	}
	amr := f.Level.AMR
	if amr == nil {
		amr = []string{"pwd"}
	}
	name := ""
	if has(f.Scopes, profile) { // the client can read its access token, so the name needs the scope
		name = u.Name
	}
	issued, err := p.Mint.Issue(signing.Grant{
		Subject: u.ID, Username: name, Kind: auth.KindUser, ClientID: client.ID, SessionID: f.ID, Epoch: u.Epoch, Scopes: scopes, Audience: audience,
		Roles: u.Roles, Tenant: u.Tenant, ACR: contract.ACRPassword, AMR: amr, AuthTime: f.AuthTime, Life: signing.UserLife,
	})
	issued.Scopes = append(slices.Clone(scopes), told...)
	return issued, err
}

// identity issues the ID token.
func (p *Provider) identity(u authority.Owner, f session.Family, nonce string) (string, error) {
	now := p.Clock.Now()
	claims := &auth.IDClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: p.Mint.Issuer, Subject: u.ID, Audience: jwt.ClaimStrings{f.ClientID},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(signing.UserLife)),
		},
		AuthTime: f.AuthTime.Unix(), Nonce: nonce, ACR: f.Level.ACR, AMR: f.Level.AMR, SessionID: f.ID,
	}
	if f.Level.ACR == "" {
		claims.ACR, claims.AMR = contract.ACRPassword, []string{"pwd"}
	}
	if has(f.Scopes, profile) {
		claims.Username = u.Name
	}
	text, err := p.Ring.SignID(claims)
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	return text, nil
}

// Renew exchanges a client's refresh token for new tokens, by the rules of session.Renew. A request can only narrow the access token. A refresh token that
// can't be used is domain.InvalidGrant.
func (p *Provider) Renew(ctx context.Context, clientID, secret, refresh string, r signing.Request) (_ signing.Issued, err error) {
	defer tried.To(&err, "renew tokens of client")
	if err := p.Authenticate(ctx, clientID, secret); err != nil {
		return signing.Issued{}, err
	}
	renewal := session.Renewal{ClientID: clientID, Access: func(ctx context.Context, tx *store.Tx, u authority.Owner, f session.Family, _ bool) (signing.Issued, error) {
		client, err := p.authenticate(ctx, tx, clientID, secret, authority.Shared)
		if err != nil {
			return signing.Issued{}, err
		}
		return p.access(u, client, f, r)
	}}
	issued, err := p.Sessions.Renew(ctx, refresh, renewal)
	if errors.Is(err, domain.SessionEnded) {
		return signing.Issued{}, domain.Refuse(domain.InvalidGrant, "The session has ended; sign in again.").Because(err)
	}
	return issued, err
}

// IsClientID reports whether a client_id is that of a web app.
func IsClientID(clientID string) bool { return strings.HasPrefix(clientID, "cli_") }
