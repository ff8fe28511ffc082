package openid

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Code is an authorization code with everything it is bound to, without its text.
type Code struct {
	ClientID    string
	SessionID   string // the person's session
	UserID      string // of the session's user
	RedirectURI string
	Challenge   string // RFC 7636, S256
	Nonce       string
	Scopes      []string // granted
	Level       session.Level
	AuthTime    time.Time // when the person last authenticated
	CreatedAt   time.Time
	ExpiresAt   time.Time
	Gave        string // ID of the client's session that it was exchanged for; "" if unused
}

// Rows are the queries of the domain.
type Rows interface {
	// Insert stores a client; false when there already are most of them.
	Insert(ctx context.Context, tx *store.Tx, c Client, most int) (bool, error)
	// Client returns a client with the given lock, which lasts until the transaction ends.
	Client(ctx context.Context, q store.Querier, id string, lock authority.Lock) (Client, bool, error)
	// List returns clients, oldest first, starting after the given ID.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]Client, error)
	// Update writes everything but the ID if the client is at version from; false otherwise.
	Update(ctx context.Context, tx *store.Tx, c Client, from int64) (bool, error)
	// Delete deletes a client with its codes and consents; false when there is none.
	Delete(ctx context.Context, tx *store.Tx, id string) (bool, error)

	// Consent returns the scopes that a user has consented to.
	Consent(ctx context.Context, q store.Querier, userID, clientID string) ([]string, error)
	PutConsent(ctx context.Context, tx *store.Tx, userID, clientID string, scopes []string, at time.Time) error
	// Consents returns a user's consents by the ID of the client, starting after the given ID.
	Consents(ctx context.Context, q store.Querier, userID, after string, limit int) ([]Given, error)
	// DeleteConsent deletes a consent; false when there is none.
	DeleteConsent(ctx context.Context, tx *store.Tx, userID, clientID string) (bool, error)

	InsertCode(ctx context.Context, tx *store.Tx, hash []byte, c Code) error
	// Code returns a code, used or not, unless it is from before a restore.
	Code(ctx context.Context, q store.Querier, hash []byte) (Code, bool, error)
	// UseCode consumes a code of the client that matches the redirect URI and the challenge and has not expired; true only for the first caller.
	UseCode(ctx context.Context, tx *store.Tx, hash []byte, clientID, redirectURI, challenge, gave string, at time.Time) (bool, error)
	// DropCodes deletes the unused codes that a client has for a user.
	DropCodes(ctx context.Context, tx *store.Tx, userID, clientID string) error
	// SweepCodes deletes codes that expired before the time.
	SweepCodes(ctx context.Context, tx *store.Tx, before time.Time) error
}

// Declared returns which of the scopes are declared by registered services, and locks them until the transaction ends.
type Declared interface {
	Declares(ctx context.Context, tx *store.Tx, scopes []string) ([]string, error)
}

// Config is what a Provider depends on.
type Config struct {
	DB       *store.DB
	Rows     Rows
	Services Declared
	Sessions *session.Sessions
	Standing *authority.Standing
	Mint     *signing.Mint
	Ring     *signing.Ring
	Clock    clock.Clock
}

// Provider is the domain of web apps and of signing in at them.
type Provider struct {
	Config
	audit auditlog.Log
}

// New returns a Provider.
func New(c Config) *Provider { return &Provider{Config: c, audit: auditlog.Log{Clock: c.Clock}} }

// Authenticate refuses a client that is unknown or whose secret is wrong with domain.InvalidClient.
func (p *Provider) Authenticate(ctx context.Context, id, secret string) error {
	_, err := p.authenticate(ctx, p.DB.Read(ctx), id, secret, authority.Unlocked)
	return err
}

func (p *Provider) authenticate(ctx context.Context, q store.Querier, id, secret string, lock authority.Lock) (Client, error) {
	c, found, err := p.Rows.Client(ctx, q, id, lock)
	if err != nil {
		return Client{}, fmt.Errorf("read client: %w", err)
	}
	if !found {
		return Client{}, invalidClient()
	}
	return c, c.authentic(secret)
}

// codeMemory is how long an expired code is kept, so that presenting it again still ends its session.
const codeMemory = time.Hour

// Sweep deletes codes that expired longer than codeMemory ago.
func (p *Provider) Sweep(ctx context.Context) (err error) {
	defer tried.To(&err, "delete old codes")
	return p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return p.Rows.SweepCodes(ctx, tx, p.Clock.Now().Add(-codeMemory))
	})
}

// UserInfo is what a web app may learn about a person.
type UserInfo struct {
	Subject  string
	Username string // with the scope profile
}

// UserInfo returns the person that a client's token was issued for, after checking the rows behind the token. A token that is not from a web app's session is
// domain.Forbidden.
func (p *Provider) UserInfo(ctx context.Context, caller *auth.Principal) (info UserInfo, err error) {
	defer tried.To(&err, "read user info")
	err = p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := p.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		f, found, err := p.Sessions.Rows.Find(ctx, tx, caller.SessionID)
		if err != nil {
			return err
		}
		if !found || f.Parent == "" {
			return domain.Refuse(domain.Forbidden, "The token was not issued to a web app.")
		}
		info.Subject = held.Caller.ID
		if has(f.Scopes, profile) {
			info.Username = held.Caller.Name
		}
		return nil
	})
	return info, err
}
