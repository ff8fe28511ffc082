package handlers

import (
	"bytes"
	"context"

	"github.com/fountainai/fountain/console"
	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/openid"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

// revalidated makes browsers check before each use that their copy is current.
const revalidated = "no-cache"

// GetAuthorizationPage implements getAuthorizationPage.
func (h api) GetAuthorizationPage(context.Context, kmsapi.GetAuthorizationPageRequestObject) (kmsapi.GetAuthorizationPageResponseObject, error) {
	page := console.AuthorizationPage()
	return kmsapi.GetAuthorizationPage200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: kmsapi.GetAuthorizationPage200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: console.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// GetSignOutPage implements getSignOutPage.
func (h api) GetSignOutPage(context.Context, kmsapi.GetSignOutPageRequestObject) (kmsapi.GetSignOutPageResponseObject, error) {
	page := console.SignOutPage()
	return kmsapi.GetSignOutPage200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: kmsapi.GetSignOutPage200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: console.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// CheckAuthorization implements checkAuthorization.
func (h api) CheckAuthorization(ctx context.Context, r kmsapi.CheckAuthorizationRequestObject) (kmsapi.CheckAuthorizationResponseObject, error) {
	answer, err := h.OpenID.Check(ctx, requestOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return kmsapi.CheckAuthorization200JSONResponse(authorizationBody(answer)), nil
}

// AuthorizeClient implements authorizeClient.
func (h api) AuthorizeClient(ctx context.Context, r kmsapi.AuthorizeClientRequestObject) (kmsapi.AuthorizeClientResponseObject, error) {
	answer, err := h.OpenID.Authorize(ctx, caller(ctx), requestOf(r.Body.Request), openid.Consent(text(r.Body.Consent)))
	if err != nil {
		return nil, err
	}
	return kmsapi.AuthorizeClient200JSONResponse(authorizationBody(answer)), nil
}

func requestOf(b kmsapi.AuthorizationRequest) openid.Request {
	return openid.Request{
		ResponseType: text(b.ResponseType), ResponseMode: text(b.ResponseMode), ClientID: text(b.ClientID), RedirectURI: text(b.RedirectURI), Scope: text(b.Scope),
		State: text(b.State), Nonce: text(b.Nonce), CodeChallenge: text(b.CodeChallenge), CodeChallengeMethod: text(b.CodeChallengeMethod),
		Prompt: text(b.Prompt), MaxAge: text(b.MaxAge), ACRValues: text(b.AcrValues), IDTokenHint: text(b.IDTokenHint),
		RequestObject: text(b.Request), RequestURI: text(b.RequestURI),
	}
}

func authorizationBody(a openid.Answer) kmsapi.Authorization {
	body := kmsapi.Authorization{
		Status: kmsapi.AuthorizationStatus(a.Status), Client: kmsapi.ClientName{ID: a.Client.ID, Name: a.Client.Name}, Redirect: present(a.Location),
	}
	if a.Status == openid.ConsentRequired {
		body.Scopes = &a.Scopes
	}
	return body
}

// ListConsents implements listConsents.
func (h api) ListConsents(ctx context.Context, r kmsapi.ListConsentsRequestObject) (kmsapi.ListConsentsResponseObject, error) {
	given, next, err := h.OpenID.ListConsents(ctx, caller(ctx), r.UserID, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	items := bodies(given, func(g openid.Given) kmsapi.Consent {
		return kmsapi.Consent{Client: kmsapi.ClientName{ID: g.ClientID, Name: g.ClientName}, Scopes: list(g.Scopes), UpdatedAt: g.UpdatedAt}
	})
	return kmsapi.ListConsents200JSONResponse{Items: items, NextCursor: present(next)}, nil
}

// WithdrawConsent implements withdrawConsent.
func (h api) WithdrawConsent(ctx context.Context, r kmsapi.WithdrawConsentRequestObject) (kmsapi.WithdrawConsentResponseObject, error) {
	ended, err := h.OpenID.WithdrawConsent(ctx, caller(ctx), r.UserID, r.ClientID)
	if err != nil {
		return nil, err
	}
	return kmsapi.WithdrawConsent200JSONResponse{Revoked: ended}, nil
}

// GetUserInfo implements getUserInfo.
func (h api) GetUserInfo(ctx context.Context, _ kmsapi.GetUserInfoRequestObject) (kmsapi.GetUserInfoResponseObject, error) {
	info, err := h.OpenID.UserInfo(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return kmsapi.GetUserInfo200JSONResponse{Sub: info.Subject, PreferredUsername: present(info.Username)}, nil
}

// EndSession implements endSession.
func (h api) EndSession(ctx context.Context, r kmsapi.EndSessionRequestObject) (kmsapi.EndSessionResponseObject, error) {
	location, err := h.OpenID.EndSession(ctx, openid.SignOut{
		IDTokenHint: r.Body.IDTokenHint, ClientID: text(r.Body.ClientID), PostLogoutRedirectURI: text(r.Body.PostLogoutRedirectURI), State: text(r.Body.State),
	})
	if err != nil {
		return nil, err
	}
	return kmsapi.EndSession200JSONResponse{Redirect: present(location)}, nil
}

// codeGrant is the authorization_code grant of a web app (RFC 6749, section 4.1.3).
func (h api) codeGrant(ctx context.Context, id, secret string, b *kmsapi.IssueTokenFormdataRequestBody, r signing.Request) (signing.Issued, string, error) {
	if !openid.IsClientID(id) {
		return signing.Issued{}, "", domain.Refuse(domain.InvalidClient, "The client is unknown or its secret is wrong.")
	}
	got, err := h.OpenID.Trade(ctx, openid.Presented{
		ClientID: id, Secret: secret, Code: text(b.Code), RedirectURI: text(b.RedirectURI), Verifier: text(b.CodeVerifier),
	}, r)
	return got.Issued, got.ID, err
}

// RegisterClient implements registerClient.
func (h api) RegisterClient(ctx context.Context, r kmsapi.RegisterClientRequestObject) (kmsapi.RegisterClientResponseObject, error) {
	request := createRequest{operation: "registerClient", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		c, secret, err := h.OpenID.Register(ctx, tx, caller(ctx), openid.Draft{
			Name: r.Body.Name, Confidential: r.Body.Type == kmsapi.ClientCreateTypeConfidential, Trusted: r.Body.Trusted != nil && *r.Body.Trusted,
			RedirectURIs: r.Body.RedirectUris, PostLogoutRedirectURIs: words(r.Body.PostLogoutRedirectUris), Scopes: words(r.Body.Scopes),
		})
		return response{kmsapi.ClientRegistration{Client: clientBody(c), ClientSecret: present(secret)}, etag.Of(c.Version)}, err
	}))
}

// ListClients implements listClients.
func (h api) ListClients(ctx context.Context, r kmsapi.ListClientsRequestObject) (kmsapi.ListClientsResponseObject, error) {
	clients, next, err := h.OpenID.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListClients200JSONResponse{Items: bodies(clients, clientBody), NextCursor: present(next)}, nil
}

// GetClient implements getClient.
func (h api) GetClient(ctx context.Context, r kmsapi.GetClientRequestObject) (kmsapi.GetClientResponseObject, error) {
	c, err := h.OpenID.Get(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetClient200JSONResponse{Body: clientBody(c), Headers: kmsapi.GetClient200ResponseHeaders{ETag: etag.Of(c.Version)}}, nil
}

// UpdateClient implements updateClient.
func (h api) UpdateClient(ctx context.Context, r kmsapi.UpdateClientRequestObject) (kmsapi.UpdateClientResponseObject, error) {
	c, err := h.OpenID.Update(ctx, caller(ctx), r.ClientID, etag.ParseMatch(r.Params.IfMatch), openid.Change{
		Name: r.Body.Name, RedirectURIs: r.Body.RedirectUris, PostLogoutRedirectURIs: r.Body.PostLogoutRedirectUris, Scopes: r.Body.Scopes, Trusted: r.Body.Trusted,
	})
	if err != nil {
		return nil, err
	}
	return kmsapi.UpdateClient200JSONResponse{Body: clientBody(c), Headers: kmsapi.UpdateClient200ResponseHeaders{ETag: etag.Of(c.Version)}}, nil
}

// DeleteClient implements deleteClient.
func (h api) DeleteClient(ctx context.Context, r kmsapi.DeleteClientRequestObject) (kmsapi.DeleteClientResponseObject, error) {
	if err := h.OpenID.Delete(ctx, caller(ctx), r.ClientID); err != nil {
		return nil, err
	}
	return kmsapi.DeleteClient204Response{}, nil
}

// RotateClientSecret implements rotateClientSecret.
func (h api) RotateClientSecret(ctx context.Context, r kmsapi.RotateClientSecretRequestObject) (kmsapi.RotateClientSecretResponseObject, error) {
	request := createRequest{operation: "rotateClientSecret", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		c, secret, err := h.OpenID.RotateSecret(ctx, tx, caller(ctx), r.ClientID)
		return response{kmsapi.ClientRegistration{Client: clientBody(c), ClientSecret: present(secret)}, etag.Of(c.Version)}, err
	}))
}

func clientBody(c openid.Client) kmsapi.WebClient {
	body := kmsapi.WebClient{
		ID: c.ID, Name: c.Name, Type: kmsapi.WebClientTypePublic, RedirectUris: list(c.RedirectURIs), PostLogoutRedirectUris: list(c.PostLogoutRedirectURIs),
		Scopes: list(c.Scopes), Trusted: c.Trusted, Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	if c.Confidential() {
		body.Type = kmsapi.WebClientTypeConfidential
	}
	return body
}

// GetServerMetadata implements getServerMetadata.
func (h api) GetServerMetadata(context.Context, kmsapi.GetServerMetadataRequestObject) (kmsapi.GetServerMetadataResponseObject, error) {
	return kmsapi.GetServerMetadata200JSONResponse(h.metadata()), nil
}

// GetProviderMetadata implements getProviderMetadata.
func (h api) GetProviderMetadata(context.Context, kmsapi.GetProviderMetadataRequestObject) (kmsapi.GetProviderMetadataResponseObject, error) {
	return kmsapi.GetProviderMetadata200JSONResponse(h.metadata()), nil
}

// metadata is the server metadata of OAuth (RFC 8414) and of OpenID Connect (Discovery 1.0).
func (h api) metadata() kmsapi.ServerMetadata {
	base, no := h.PublicURL+h.Contract.BasePath, false
	clients := []string{"client_secret_basic", "client_secret_post", "none"}
	return kmsapi.ServerMetadata{
		Issuer: h.Mint.Issuer, TokenEndpoint: base + "/oauth2/token", JwksURI: base + "/.well-known/jwks.json",
		RevocationEndpoint: base + "/oauth2/revoke", IntrospectionEndpoint: base + "/oauth2/introspect",
		AuthorizationEndpoint: new(base + "/oauth2/authorize"), UserinfoEndpoint: new(base + "/oauth2/userinfo"), EndSessionEndpoint: new(base + "/oauth2/logout"),
		GrantTypesSupported:               []string{"authorization_code", "client_credentials", "refresh_token"},
		TokenEndpointAuthMethodsSupported: clients, RevocationEndpointAuthMethodsSupported: clients,
		IntrospectionEndpointAuthMethodsSupported:  []string{"client_secret_basic", "client_secret_post"},
		ResponseTypesSupported:                     []string{"code"},
		ResponseModesSupported:                     &[]string{"query"},
		CodeChallengeMethodsSupported:              &[]string{"S256"},
		AuthorizationResponseIssParameterSupported: new(true),
		SubjectTypesSupported:                      &[]string{"public"},
		IDTokenSigningAlgValuesSupported:           new(signing.Algorithms()),
		PromptValuesSupported:                      &openid.Prompts,
		AcrValuesSupported:                         &[]string{"aal1", "aal2", "phr"},
		ClaimsSupported:                            &[]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "preferred_username"},
		ClaimsParameterSupported:                   &no, RequestParameterSupported: &no, RequestURIParameterSupported: &no,
		ScopesSupported: openid.Scopes(h.Mint.Catalogue),
	}
}
