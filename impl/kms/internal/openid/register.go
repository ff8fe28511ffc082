package openid

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Draft is a client to be registered.
type Draft struct {
	Name                                 string
	Confidential, Trusted                bool
	RedirectURIs, PostLogoutRedirectURIs []string
	Scopes                               []string
}

// Register creates a client, and returns the secret of a confidential one. The caller must be an administrator. An invalid client is domain.ValidationFailed;
// beyond the limit of clients it is domain.LimitReached.
func (p *Provider) Register(ctx context.Context, tx *store.Tx, caller *auth.Principal, d Draft) (_ Client, secret string, err error) {
	defer tried.To(&err, "register client")
	if err := p.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
		return Client{}, "", err
	}
	now := domain.Now(p.Clock)
	c := Client{
		ID: id.New("cli"), Name: d.Name, RedirectURIs: d.RedirectURIs, PostLogoutRedirectURIs: d.PostLogoutRedirectURIs, Scopes: d.Scopes, Trusted: d.Trusted,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if d.Confidential {
		secret, c.SecretHash = newSecret()
	}
	if err := p.check(ctx, tx, &c); err != nil {
		return Client{}, "", err
	}
	inserted, err := p.Rows.Insert(ctx, tx, c, maxClients)
	if err != nil {
		return Client{}, "", fmt.Errorf("store client: %w", err)
	}
	if !inserted {
		return Client{}, "", domain.Refuse(domain.LimitReached, "There are 200 clients already; delete one that is not needed.")
	}
	return c, secret, p.audit.Append(ctx, tx, auditlog.Event{Action: "registerClient", Target: c.ID, Detail: detail(c)})
}

// check refuses an invalid client, and sorts its scopes.
func (p *Provider) check(ctx context.Context, tx *store.Tx, c *Client) (err error) {
	if err := checkURIs("/redirectUris", c.RedirectURIs); err != nil {
		return err
	}
	if err := checkURIs("/postLogoutRedirectUris", c.PostLogoutRedirectURIs); err != nil {
		return err
	}
	declares := func(ctx context.Context, scopes []string) ([]string, error) {
		return p.Services.Declares(ctx, tx, scopes)
	}
	c.Scopes, err = p.checkScopes(ctx, declares, c.Scopes)
	return err
}

// detail returns the details of a client for the audit log.
func detail(c Client) map[string]string {
	return map[string]string{
		"redirectUris": strings.Join(c.RedirectURIs, " "), "scopes": strings.Join(c.Scopes, " "), "trusted": strconv.FormatBool(c.Trusted),
	}
}

// Get returns a client; domain.NotFound when there is none.
func (p *Provider) Get(ctx context.Context, clientID string) (Client, error) {
	c, found, err := p.Rows.Client(ctx, p.DB.Read(ctx), clientID, authority.Unlocked)
	if err != nil {
		return Client{}, fmt.Errorf("read client: %w", err)
	}
	if !found {
		return Client{}, notFound()
	}
	return c, nil
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such client.") }

const listName = "clients"

// List returns a page of clients, oldest first, and the cursor of the next page, or "".
func (p *Provider) List(ctx context.Context, cursor string, limit int) (_ []Client, _ string, err error) {
	defer tried.To(&err, "list clients")
	var after string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	clients, err := p.Rows.List(ctx, p.DB.Read(ctx), after, limit+1)
	if err != nil || len(clients) <= limit {
		return clients, "", err
	}
	clients = clients[:limit]
	return clients, page.Encode(listName, clients[limit-1].ID), nil
}

// Change is a partial update of a client; nil fields stay as they are.
type Change struct {
	Name                                 *string
	RedirectURIs, PostLogoutRedirectURIs *[]string
	Scopes                               *[]string
	Trusted                              *bool
}

func (c Client) with(change Change) Client {
	if change.Name != nil {
		c.Name = *change.Name
	}
	if change.RedirectURIs != nil {
		c.RedirectURIs = *change.RedirectURIs
	}
	if change.PostLogoutRedirectURIs != nil {
		c.PostLogoutRedirectURIs = *change.PostLogoutRedirectURIs
	}
	if change.Scopes != nil {
		c.Scopes = *change.Scopes
	}
	if change.Trusted != nil {
		c.Trusted = *change.Trusted
	}
	return c
}

// Update applies the change if match holds for the client's version, else it fails with domain.PreconditionFailed. Removing a scope ends the client's
// sessions.
func (p *Provider) Update(ctx context.Context, caller *auth.Principal, clientID string, match etag.Match, change Change) (after Client, err error) {
	defer tried.To(&err, "update client")
	err = p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		before, err := p.administered(ctx, tx, caller, clientID)
		if err != nil {
			return err
		}
		after = before.with(change)
		after.Version, after.UpdatedAt = before.Version+1, domain.Now(p.Clock)
		if err := p.check(ctx, tx, &after); err != nil {
			return err
		}
		if !match.Holds(before.Version) {
			return domain.Refuse(domain.PreconditionFailed, "The client was changed since it was read.")
		}
		if err := p.write(ctx, tx, after, before.Version); err != nil {
			return err
		}
		if narrowed(before, after) {
			if err := p.Sessions.EndAllOfApp(ctx, tx, clientID, "scopes of the web app were taken away"); err != nil {
				return err
			}
		}
		return p.audit.Append(ctx, tx, auditlog.Event{Action: "updateClient", Target: clientID, Detail: detail(after)})
	})
	return after, err
}

// administered locks the rows of the caller, who must be an administrator, and the client, and returns the client.
func (p *Provider) administered(ctx context.Context, tx *store.Tx, caller *auth.Principal, clientID string) (Client, error) {
	if err := p.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
		return Client{}, err
	}
	c, found, err := p.Rows.Client(ctx, tx, clientID, authority.Exclusive)
	if err != nil {
		return Client{}, fmt.Errorf("lock client: %w", err)
	}
	if !found {
		return Client{}, notFound()
	}
	return c, nil
}

// write stores a client whose row is locked.
func (p *Provider) write(ctx context.Context, tx *store.Tx, c Client, from int64) error {
	updated, err := p.Rows.Update(ctx, tx, c, from)
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	if !updated {
		return domain.Refuse(domain.PreconditionFailed, "The client was changed since it was read.")
	}
	return nil
}

// RotateSecret replaces the secret of a confidential client; the old one is invalid at once. A public client is domain.StateConflict.
func (p *Provider) RotateSecret(ctx context.Context, tx *store.Tx, caller *auth.Principal, clientID string) (_ Client, secret string, err error) {
	defer tried.To(&err, "rotate secret of client")
	c, err := p.administered(ctx, tx, caller, clientID)
	if err != nil {
		return Client{}, "", err
	}
	if !c.Confidential() {
		return Client{}, "", domain.Refuse(domain.StateConflict, "A public client has no secret.")
	}
	secret, c.SecretHash = newSecret()
	c.Version, c.UpdatedAt = c.Version+1, domain.Now(p.Clock)
	if err := p.write(ctx, tx, c, c.Version-1); err != nil {
		return Client{}, "", err
	}
	return c, secret, p.audit.Append(ctx, tx, auditlog.Event{Action: "rotateClientSecret", Target: clientID})
}

// Delete deletes a client with its codes, and ends its sessions.
func (p *Provider) Delete(ctx context.Context, caller *auth.Principal, clientID string) (err error) {
	defer tried.To(&err, "delete client")
	return p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := p.administered(ctx, tx, caller, clientID); err != nil {
			return err
		}
		if err := p.Sessions.EndAllOfApp(ctx, tx, clientID, "the web app was deleted"); err != nil {
			return err
		}
		if _, err := p.Rows.Delete(ctx, tx, clientID); err != nil {
			return fmt.Errorf("delete client: %w", err)
		}
		return p.audit.Append(ctx, tx, auditlog.Event{Action: "deleteClient", Target: clientID})
	})
}
