package handlers

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// IssueToken implements issueToken (RFC 6749, section 3.2).
func (h *Handlers) IssueToken(ctx context.Context, r kmsapi.IssueTokenRequestObject) (kmsapi.IssueTokenResponseObject, error) {
	id, secret, err := clientCredentials(receivedFrom(ctx), r.Body)
	if err != nil {
		return nil, err
	}
	request := signing.Request{Scopes: strings.Fields(text(r.Body.Scope)), Resource: text(r.Body.Resource)}
	var issued signing.Issued
	switch r.Body.GrantType {
	case "client_credentials":
		issued, err = h.core.Load().clientGrant(ctx, id, secret, request)
	case "refresh_token":
		issued, err = h.core.Load().refreshGrant(ctx, id, secret, text(r.Body.RefreshToken), request)
	default:
		err = problem.New(problem.UnsupportedGrantType, "The grant type is not supported.")
	}
	if err != nil {
		return nil, challenge(err)
	}
	pragma := "no-cache"
	return kmsapi.IssueToken200JSONResponse{Body: tokenBody(issued), Headers: kmsapi.IssueToken200ResponseHeaders{Pragma: &pragma}}, nil
}

// clientCredentials reads the client's id and secret from the Basic header or from the body; both at once are invalid_request
// (RFC 6749, section 2.3).
func clientCredentials(in received, body *kmsapi.TokenRequest) (id, secret string, err error) {
	switch {
	case in.unreadable:
		return "", "", challenge(problem.New(problem.InvalidClient, "The Authorization header is not HTTP Basic."))
	case in.basic && body.ClientSecret != nil:
		return "", "", problem.New(problem.InvalidRequest, "The client authenticates twice.")
	case !in.basic:
		return text(body.ClientID), text(body.ClientSecret), nil
	}
	// Both were form-encoded before they were put into the header (section 2.3.1).
	id, errID := url.QueryUnescape(in.id)
	secret, errSecret := url.QueryUnescape(in.secret)
	if errID != nil || errSecret != nil || (body.ClientID != nil && *body.ClientID != id) {
		return "", "", problem.New(problem.InvalidRequest, "The Authorization header does not fit the request.")
	}
	return id, secret, nil
}

const basicChallenge = `Basic realm="fountain", charset="UTF-8"`

// challenge adds to an invalid_client how to authenticate (RFC 6749, section 5.2).
func challenge(err error) error {
	var e *problem.Error
	if errors.As(err, &e) && e.Code == problem.InvalidClient {
		return e.WithHeader("WWW-Authenticate", basicChallenge)
	}
	return err
}

// clientGrant gives a token for an API key (RFC 6749, section 4.4).
func (c *Core) clientGrant(ctx context.Context, id, secret string, r signing.Request) (signing.Issued, error) {
	if id == "" || secret == "" {
		return signing.Issued{}, problem.New(problem.InvalidClient, "The client must authenticate.")
	}
	v, err := c.Keys.Authenticate(ctx, id, secret)
	if err != nil {
		return signing.Issued{}, err
	}
	if v.Code != apikey.Valid {
		return signing.Issued{}, problem.New(problem.InvalidClient, "The client is unknown or its secret is wrong.")
	}
	have := v.Scopes
	if v.Owner.Kind == auth.KindService {
		have = signing.WithRotateOwn(have, r, c.Mint.Catalogue)
	}
	scopes, audience, err := c.Mint.Narrow(have, r)
	if err != nil {
		return signing.Issued{}, err
	}
	if err := signing.One(audience); err != nil {
		return signing.Issued{}, err
	}
	grant := signing.Grant{
		Subject: v.Owner.ID, Kind: v.Owner.Kind, ClientID: v.Key.ID, Scopes: scopes, Audience: audience, Life: signing.ServiceLife,
	}
	if v.Owner.Kind == auth.KindUser {
		// A key is one factor, whatever its owner has; nobody has signed in, so there is no session and no time of it.
		grant.Roles, grant.ACR, grant.Life = v.Owner.Roles, contract.ACRPassword, signing.UserLife
	}
	return c.Mint.Issue(grant)
}

// refreshGrant is refreshToken in the form of RFC 6749, section 6. The client is the one that signs people in, which has no secret.
func (c *Core) refreshGrant(ctx context.Context, id, secret, refresh string, r signing.Request) (signing.Issued, error) {
	switch {
	case refresh == "":
		return signing.Issued{}, problem.New(problem.InvalidRequest, "The refresh token is missing.")
	case secret != "" || (id != "" && id != signing.LoginClient):
		return signing.Issued{}, problem.New(problem.InvalidGrant, "The refresh token is not this client's.")
	}
	issued, err := c.Sessions.Refresh(ctx, refresh, r)
	if errors.Is(err, problem.SessionEnded) {
		err = problem.New(problem.InvalidGrant, "The session has ended; sign in again.").Wrap(err)
	}
	return issued, err
}
