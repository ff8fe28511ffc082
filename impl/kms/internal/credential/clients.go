package credential

import (
	"context"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/tried"
)

// Clients issues tokens to clients that authenticate with an API key (RFC 6749, section 4.4).
type Clients struct {
	Keys     *Keys
	Mint     *signing.Mint
	Audit    auditlog.Log
	Recorder *audit.Recorder // records the issue of tokens, which changes no row
}

// Authenticate checks a client's credentials: its ID is that of a key, its secret the key itself (RFC 6749, section 2.3). Others are refused with
// domain.InvalidClient.
func (c *Clients) Authenticate(ctx context.Context, id, secret string) (Verdict, error) {
	if id == "" || secret == "" {
		return Verdict{}, domain.Refuse(domain.InvalidClient, "The client must authenticate.")
	}
	v, err := c.Keys.Authenticate(ctx, id, secret)
	if err != nil {
		return Verdict{}, err
	}
	if v.Code != Valid {
		return Verdict{}, domain.Refuse(domain.InvalidClient, "The client is unknown or its secret is wrong.")
	}
	return v, nil
}

// Grant issues a token for an API key. The token carries the owner's epoch and the key's ID, by which the revocation feed ends it. So a key that is revoked
// concurrently leaves no working token behind. limit is the key's rate limit, which the token was counted against.
func (c *Clients) Grant(ctx context.Context, id, secret string, r signing.Request) (issued signing.Issued, limit apikey.RateLimit, err error) {
	defer tried.To(&err, "grant token to client")
	v, err := c.Authenticate(ctx, id, secret)
	if err != nil {
		return signing.Issued{}, apikey.RateLimit{}, err
	}
	if issued, err = c.grant(v, r); err != nil {
		return signing.Issued{}, v.Key.Limit, err
	}
	err = c.Audit.Record(ctx, c.Recorder, auditlog.Event{
		Action: "issueToken", Actor: v.Owner.ID, Kind: v.Owner.Kind, Target: v.Key.ID, Detail: auditlog.Granted(map[string]string{}, issued.Scopes, v.Owner.Roles),
	})
	if err != nil {
		return signing.Issued{}, v.Key.Limit, err
	}
	return issued, v.Key.Limit, nil
}

func (c *Clients) grant(v Verdict, r signing.Request) (signing.Issued, error) {
	have := v.Scopes
	if v.Owner.Kind == auth.KindService {
		have = signing.WithRotateOwn(have, r, c.Mint.Catalogue)
	}
	scopes, audience, err := c.Mint.NarrowOne(have, r)
	if err != nil {
		return signing.Issued{}, err
	}
	grant := signing.Grant{
		Subject: v.Owner.ID, Kind: v.Owner.Kind, ClientID: v.Key.ID, Epoch: v.Owner.Epoch, Scopes: scopes, Audience: audience, Life: signing.ServiceLife,
		Tenant: v.Owner.Tenant,
	}
	if v.Owner.Kind == auth.KindUser {
		// A key is a single factor, whatever factors its owner has. There was no sign-in, so the token has no session and no auth_time.
		grant.Roles, grant.ACR, grant.Life = v.Owner.Roles, contract.ACRPassword, signing.UserLife
		grant.Username = v.Owner.Name
	}
	return c.Mint.Issue(grant)
}

// For reports whether the client may introspect or revoke a token: it was issued to the client, or its audience is the client's owner, a service.
func (v Verdict) For(p *auth.Principal) bool {
	return p.ClientID == v.Key.ID || (v.Owner.Kind == auth.KindService && contains(p.Audience, v.Owner.Name))
}

func contains(words []string, word string) bool {
	return len(authority.Both([]string{word}, words)) == 1
}
