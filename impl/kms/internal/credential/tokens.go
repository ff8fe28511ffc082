package credential

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Sessions revokes refresh tokens.
type Sessions interface {
	// RevokeRefresh ends the session of a client's refresh token. It ignores unknown tokens and those of other clients.
	RevokeRefresh(ctx context.Context, clientID, token string) error
}

// Apps authenticates web apps.
type Apps interface {
	// Authenticate fails with domain.InvalidClient for a client that is unknown or whose secret is wrong.
	Authenticate(ctx context.Context, id, secret string) error
}

// Tokens introspects and revokes access tokens.
type Tokens struct {
	DB       *store.DB
	Verifier *auth.Verifier // checks everything about a token except its audience
	Standing *authority.Standing
	Clients  *Clients
	Sessions Sessions
	Apps     Apps
	Feed     *revocation.Feed
	Audit    auditlog.Log
}

// Introspection is the current state of a token (RFC 7662, section 2.2).
type Introspection struct {
	Principal *auth.Principal // nil: the token is not active
	Owner     authority.Owner // as its row is now
	Scopes    []string        // the token's scopes that its owner still has
}

// Introspect answers a client, authenticated by an API key, about a token. The rows behind the token are read under locks, so that the answer is
// consistent: a session that ended before is not active. A token that the client may not ask about is reported as not active.
func (t *Tokens) Introspect(ctx context.Context, id, secret, token string) (_ Introspection, err error) {
	defer tried.To(&err, "introspect token")
	client, err := t.Clients.Authenticate(ctx, id, secret)
	if err != nil {
		return Introspection{}, err
	}
	p, err := t.verify(ctx, token)
	if err != nil || p == nil || !client.For(p) {
		return Introspection{}, err
	}
	var held authority.Held
	waits := false
	err = t.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if p.HasScope(authority.CompleteSignIn) {
			held, waits, err = t.Standing.HoldSigningIn(ctx, tx, p)
			return err
		}
		held, err = t.Standing.Hold(ctx, tx, p)
		return err
	})
	if errors.Is(err, domain.Ended) {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, err
	}
	scopes := held.Caller.Scopes
	if waits {
		scopes = authority.SigningIn()
	}
	return Introspection{Principal: p, Owner: held.Caller, Scopes: authority.Both(p.Scopes, scopes)}, nil
}

// verify returns nil for an invalid token.
func (t *Tokens) verify(ctx context.Context, token string) (*auth.Principal, error) {
	p, err := t.Verifier.Verify(ctx, token, auth.AnyAudience)
	if auth.IsInvalid(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	return p, nil
}

// Revoke revokes a token (RFC 7009). A refresh token ends its session, an access token ends alone. The public client that people sign in with has no secret;
// it revokes refresh tokens, and any holder of one may do so. A web app authenticates if it has a secret. Unknown tokens and those of other clients are
// ignored.
func (t *Tokens) Revoke(ctx context.Context, id, secret, token string) (err error) {
	defer tried.To(&err, "revoke token")
	if strings.HasPrefix(id, "cli_") {
		return t.revokeOfApp(ctx, id, secret, token)
	}
	if strings.HasPrefix(token, "rt_") {
		if secret != "" {
			return domain.Refuse(domain.InvalidClient, "The refresh token belongs to a client without a secret.")
		}
		return t.Sessions.RevokeRefresh(ctx, signing.LoginClient, token)
	}
	client, err := t.Clients.Authenticate(ctx, id, secret)
	if err != nil {
		return err
	}
	return t.revokeAccess(ctx, client.Key.ID, token)
}

// revokeOfApp revokes a token of a web app.
func (t *Tokens) revokeOfApp(ctx context.Context, id, secret, token string) error {
	if err := t.Apps.Authenticate(ctx, id, secret); err != nil {
		return err
	}
	if strings.HasPrefix(token, "rt_") {
		return t.Sessions.RevokeRefresh(ctx, id, token)
	}
	return t.revokeAccess(ctx, id, token)
}

// revokeAccess revokes an access token of the client.
func (t *Tokens) revokeAccess(ctx context.Context, clientID, token string) error {
	p, err := t.verify(ctx, token)
	if err != nil || p == nil || p.ClientID != clientID {
		return err
	}
	err = t.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		t.Feed.Append(tx, ended.Token, p.TokenID, 0)
		return t.Audit.Append(ctx, tx, auditlog.Event{Action: "revokeToken", Actor: p.Subject, Kind: p.Kind, Target: p.TokenID})
	})
	return err
}
