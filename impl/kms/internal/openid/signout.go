package openid

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// SignOut is a request to the end-session endpoint (OpenID Connect RP-Initiated Logout 1.0).
type SignOut struct {
	IDTokenHint, ClientID, PostLogoutRedirectURI, State string
}

// EndSession ends the person's session that an ID token was issued in, with all web app sessions under it. It returns where the browser is redirected; "" if
// the client gave no address. An invalid hint, and an address that is not one of the client's registered URIs, are domain.ValidationFailed; then no session ends.
// Repeating it is safe.
func (p *Provider) EndSession(ctx context.Context, out SignOut) (location string, err error) {
	defer tried.To(&err, "sign out by a web app")
	hint, err := auth.VerifyIDHint(ctx, out.IDTokenHint, p.Mint.Issuer, p.Ring.Hints(), p.Clock)
	if errors.Is(err, store.ErrUnavailable) {
		return "", err
	}
	if err != nil {
		return "", wrongHint("is not valid").Because(err)
	}
	clientID := hint.Audience[0]
	if out.ClientID != "" && out.ClientID != clientID {
		return "", wrongHint("is another client's")
	}
	client, err := p.Get(ctx, clientID)
	if err != nil {
		return "", wrongHint("is of a client that is gone").Because(err)
	}
	if out.PostLogoutRedirectURI != "" {
		if !slices.Contains(client.PostLogoutRedirectURIs, out.PostLogoutRedirectURI) {
			return "", domain.Refuse(domain.ValidationFailed, "The app that sent you here wants to continue at an address that is not registered for it.").
				WithField("body", "/post_logout_redirect_uri", "registered", "is not one of the client's registered URIs")
		}
		values := url.Values{}
		if out.State != "" {
			values.Set("state", out.State)
		}
		location = withQuery(out.PostLogoutRedirectURI, values)
	}
	return location, p.Sessions.SignOutBy(ctx, hint.SessionID, hint.Subject, clientID)
}

func wrongHint(why string) *domain.Refusal {
	return domain.Refuse(domain.ValidationFailed, "The app that sent you here does not say whom to sign out.").WithField("body", "/id_token_hint", "token", why)
}
