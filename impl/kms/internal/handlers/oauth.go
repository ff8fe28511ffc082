package handlers

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/credential"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/openid"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
)

// IssueToken implements issueToken (RFC 6749, section 3.2).
func (h api) IssueToken(ctx context.Context, r kmsapi.IssueTokenRequestObject) (kmsapi.IssueTokenResponseObject, error) {
	id, secret, err := client(receivedFrom(ctx), r.Body.ClientID, r.Body.ClientSecret)
	if err != nil {
		return nil, err
	}
	request := signing.Request{Scopes: strings.Fields(text(r.Body.Scope)), Resources: resources(r.Body.Resource)}
	var issued signing.Issued
	var limit apikey.RateLimit
	var idToken string
	switch r.Body.GrantType {
	case "authorization_code":
		issued, idToken, err = h.codeGrant(ctx, id, secret, r.Body, request)
	case "client_credentials":
		issued, limit, err = h.Clients.Grant(ctx, id, secret, request)
	case "refresh_token":
		issued, err = h.refreshGrant(ctx, id, secret, text(r.Body.RefreshToken), request)
	default:
		err = domain.Refuse(domain.UnsupportedGrantType, "The grant type is not supported.")
	}
	if err != nil {
		return nil, err
	}
	body, pragma := tokenBody(issued), "no-cache"
	body.RateLimit, body.IDToken = limitBody(limit), present(idToken)
	return kmsapi.IssueToken200JSONResponse{Body: body, Headers: kmsapi.IssueToken200ResponseHeaders{Pragma: &pragma}}, nil
}

// client reads the client's ID and secret from the Basic header or from the body. Both at once are domain.InvalidRequest; an unreadable header is
// domain.InvalidClient (RFC 6749, sections 2.3 and 5.2).
func client(in received, bodyID, bodySecret *string) (id, secret string, err error) {
	switch {
	case in.unreadable:
		return "", "", domain.Refuse(domain.InvalidClient, "The Authorization header is not HTTP Basic.")
	case in.basic && bodySecret != nil:
		return "", "", domain.Refuse(domain.InvalidRequest, "The client authenticates in the Authorization header and in the body; use one of them.")
	case !in.basic:
		return text(bodyID), text(bodySecret), nil
	}
	// Both are form-encoded in the header (RFC 6749, section 2.3.1).
	id, errID := url.QueryUnescape(in.id)
	secret, errSecret := url.QueryUnescape(in.secret)
	if errID != nil || errSecret != nil {
		return "", "", domain.Refuse(domain.InvalidClient, "The credentials in the Authorization header can't be decoded.")
	}
	if bodyID != nil && *bodyID != id {
		return "", "", domain.Refuse(domain.InvalidRequest, "The client_id in the body is not the client in the Authorization header.")
	}
	return id, secret, nil
}

// refreshGrant is the refresh_token grant of RFC 6749, section 6. The client is a web app, or the public one that people sign in with, which has no secret.
func (h api) refreshGrant(ctx context.Context, id, secret, refresh string, r signing.Request) (signing.Issued, error) {
	switch {
	case refresh == "":
		return signing.Issued{}, domain.Refuse(domain.InvalidRequest, "The refresh token is missing.")
	case openid.IsClientID(id):
		return h.OpenID.Renew(ctx, id, secret, refresh, r)
	case secret != "" || (id != "" && id != signing.LoginClient):
		return signing.Issued{}, domain.Refuse(domain.InvalidGrant, "The refresh token belongs to another client.")
	}
	issued, err := h.Sessions.Refresh(ctx, refresh, r)
	if errors.Is(err, domain.SessionEnded) {
		err = domain.Refuse(domain.InvalidGrant, "The session has ended; sign in again.").Because(err)
	}
	return issued, err
}

// RevokeToken implements revokeToken (RFC 7009).
func (h api) RevokeToken(ctx context.Context, r kmsapi.RevokeTokenRequestObject) (kmsapi.RevokeTokenResponseObject, error) {
	id, secret, err := client(receivedFrom(ctx), r.Body.ClientID, r.Body.ClientSecret)
	if err != nil {
		return nil, err
	}
	if err := h.Tokens.Revoke(ctx, id, secret, r.Body.Token); err != nil {
		return nil, err
	}
	return kmsapi.RevokeToken200Response{}, nil
}

// IntrospectToken implements introspectToken (RFC 7662).
func (h api) IntrospectToken(ctx context.Context, r kmsapi.IntrospectTokenRequestObject) (kmsapi.IntrospectTokenResponseObject, error) {
	id, secret, err := client(receivedFrom(ctx), r.Body.ClientID, r.Body.ClientSecret)
	if err != nil {
		return nil, err
	}
	found, err := h.Tokens.Introspect(ctx, id, secret, r.Body.Token)
	if err != nil {
		return nil, err
	}
	return kmsapi.IntrospectToken200JSONResponse(introspectionBody(found, h.Mint.Issuer)), nil
}

func introspectionBody(i credential.Introspection, issuer string) kmsapi.Introspection {
	p := i.Principal
	if p == nil {
		return kmsapi.Introspection{Active: false}
	}
	scope, kind, tokenType := strings.Join(i.Scopes, " "), kmsapi.IntrospectionPrincipal(p.Kind), "Bearer"
	expires, issued, audience := p.Expires.Unix(), p.IssuedAt.Unix(), p.Audience
	body := kmsapi.Introspection{
		Active: true, Scope: &scope, ClientID: &p.ClientID, Username: present(i.Owner.Name), TokenType: &tokenType,
		Exp: &expires, Iat: &issued, Nbf: &issued, Sub: &p.Subject, Aud: &audience, Iss: &issuer, Jti: &p.TokenID,
		Sid: present(p.SessionID), Acr: present(p.ACR), Principal: &kind,
	}
	if !p.AuthTime.IsZero() {
		at := p.AuthTime.Unix()
		body.AuthTime = &at
	}
	body.Tenant = present(p.Tenant)
	if len(i.Owner.Roles) > 0 {
		body.Roles = &i.Owner.Roles
	}
	return body
}
