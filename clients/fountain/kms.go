package fountain

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// KMS calls the key management service: sign-in and tokens, users, services, API keys, secrets and keyrings. Most
// programs never sign in by hand, because WithUser, WithAPIKey and WithStepUp do it.
type KMS struct{ client *Client }

// BootstrapAdmin creates the first administrator with the token in <data>/kms/bootstrap.token. The response holds the
// invitation for EnrolTotp, once. Errors: ErrUnauthenticated for a wrong token, ErrConflict if there is an
// administrator.
func (k *KMS) BootstrapAdmin(ctx context.Context, body kms.AdminBootstrap, opts ...CallOption) (*kms.UserCreated, error) {
	return send[kms.UserCreated](ctx, k.client, opBootstrapAdmin, opts, func(server string) (*http.Request, error) {
		return kms.NewBootstrapAdminRequest(server, body)
	})
}

// RefreshToken exchanges a refresh token, which works once, for new tokens. If the response is lost, the same request
// may be repeated within 10 seconds. Later reuse revokes the session.
func (k *KMS) RefreshToken(ctx context.Context, body kms.Refresh, opts ...CallOption) (*kms.TokenResponse, error) {
	return send[kms.TokenResponse](ctx, k.client, opRefreshToken, opts, func(server string) (*http.Request, error) {
		return kms.NewRefreshTokenRequest(server, body)
	})
}

// LogoutUser revokes the session of the call's token. Client.SignOut also drops the client's own tokens.
func (k *KMS) LogoutUser(ctx context.Context, opts ...CallOption) error {
	return exec(ctx, k.client, opLogoutUser, opts, func(server string) (*http.Request, error) {
		return kms.NewLogoutUserRequest(server, nil)
	})
}

// CompleteStepUp exchanges the proof of Twofactor.VerifyOtp for a raised access token for one service. The proof works
// only with the session that asked for it.
func (k *KMS) CompleteStepUp(ctx context.Context, body kms.StepUp, opts ...CallOption) (*kms.TokenResponse, error) {
	return send[kms.TokenResponse](ctx, k.client, opCompleteStepUp, opts, func(server string) (*http.Request, error) {
		return kms.NewCompleteStepUpRequest(server, body)
	})
}

// IssueToken calls the OAuth 2.0 token endpoint. Its errors have the codes of RFC 6749, such as CodeInvalidClient. A
// request with an authorization code is never retried, because using the code a second time revokes the tokens issued
// for it.
func (k *KMS) IssueToken(ctx context.Context, body kms.TokenRequest, opts ...CallOption) (*kms.TokenResponse, error) {
	if body.GrantType == "authorization_code" {
		opts = append(slices.Clone(opts), WithoutRetry())
	}
	return send[kms.TokenResponse](ctx, k.client, opIssueToken, opts, func(server string) (*http.Request, error) {
		return kms.NewIssueTokenRequestWithBody(server, "application/x-www-form-urlencoded", strings.NewReader(tokenForm(body).Encode()))
	})
}

// tokenForm encodes a token request as RFC 6749 and RFC 8707 define it, with resource repeated. The generated encoder
// numbers the values of a list (resource[0]), which no authorization server reads.
func tokenForm(body kms.TokenRequest) url.Values {
	form := url.Values{"grant_type": {body.GrantType}}
	for name, value := range map[string]*string{
		"client_id": body.ClientID, "client_secret": body.ClientSecret, "refresh_token": body.RefreshToken, "scope": body.Scope,
		"code": body.Code, "redirect_uri": body.RedirectURI, "code_verifier": body.CodeVerifier,
	} {
		if value != nil {
			form.Set(name, *value)
		}
	}
	if body.Resource != nil {
		form["resource"] = *body.Resource
	}
	return form
}

// RevokeToken revokes a token (RFC 7009). Revoking a refresh token ends its session. An unknown token is not an error.
func (k *KMS) RevokeToken(ctx context.Context, body kms.TokenQuestion, opts ...CallOption) error {
	return exec(ctx, k.client, opRevokeToken, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeTokenRequestWithFormdataBody(server, body)
	})
}

// IntrospectToken reports whether a token is valid now (RFC 7662). The caller holds an API key and may ask about tokens
// issued to it; a service may also ask about tokens for it.
func (k *KMS) IntrospectToken(ctx context.Context, body kms.TokenQuestion, opts ...CallOption) (*kms.Introspection, error) {
	return send[kms.Introspection](ctx, k.client, opIntrospectToken, opts, func(server string) (*http.Request, error) {
		return kms.NewIntrospectTokenRequestWithFormdataBody(server, body)
	})
}

// ListRevocations reads the revocations after a position, and waits for new ones if params say so. It is for services.
func (k *KMS) ListRevocations(ctx context.Context, params *kms.ListRevocationsParams, opts ...CallOption) (*kms.RevocationPage, error) {
	return send[kms.RevocationPage](ctx, k.client, opListRevocations, opts, func(server string) (*http.Request, error) {
		return kms.NewListRevocationsRequest(server, params)
	})
}

// GetJwks reads the public keys that verify access tokens (RFC 7517).
func (k *KMS) GetJwks(ctx context.Context, opts ...CallOption) (*kms.JwkSet, error) {
	return send[kms.JwkSet](ctx, k.client, opGetJwks, opts, func(server string) (*http.Request, error) {
		return kms.NewGetJwksRequest(server, nil)
	})
}

// GetServerMetadata reads the authorization server's metadata (RFC 8414).
func (k *KMS) GetServerMetadata(ctx context.Context, opts ...CallOption) (*kms.ServerMetadata, error) {
	return send[kms.ServerMetadata](ctx, k.client, opGetServerMetadata, opts, kms.NewGetServerMetadataRequest)
}

// PutProofKey registers a key that signs second-factor proofs. It is for the twofactor service alone. Repeating is
// safe.
func (k *KMS) PutProofKey(ctx context.Context, kid string, body kms.ProofKey, opts ...CallOption) error {
	return exec(ctx, k.client, opPutProofKey, opts, func(server string) (*http.Request, error) {
		return kms.NewPutProofKeyRequest(server, kid, body)
	})
}

// GetKmsHealth reports that the service's process is alive.
func (k *KMS) GetKmsHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, k.client, opGetKmsHealth, opts, kms.NewGetKmsHealthRequest)
}

// GetKmsReadiness reports whether the service can serve requests. Error: ErrUnavailable if it cannot.
func (k *KMS) GetKmsReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, k.client, opGetKmsReadiness, opts, kms.NewGetKmsReadinessRequest)
}
