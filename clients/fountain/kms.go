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

// KMS calls the key management service: sign-in and tokens (this file), users, services, API keys, secrets and data keys.
// Most programs never sign in by hand: WithUser, WithAPIKey and WithStepUp do it.
type KMS struct{ client *Client }

// BootstrapAdmin makes the first administrator with the token in <data>/kms/bootstrap.token. Errors: ErrUnauthenticated
// for a wrong token, ErrConflict when there is an administrator. The answer holds the invitation for EnrolTotp, once.
func (k *KMS) BootstrapAdmin(ctx context.Context, body kms.AdminBootstrap, opts ...CallOption) (*kms.UserCreated, error) {
	return send[kms.UserCreated](ctx, k.client, opBootstrapAdmin, opts, func(server string) (*http.Request, error) {
		return kms.NewBootstrapAdminRequest(server, body)
	})
}

// RefreshToken trades a refresh token, which works once, for new tokens. A lost answer may be asked for again within 10
// seconds; later use revokes the session.
func (k *KMS) RefreshToken(ctx context.Context, body kms.Refresh, opts ...CallOption) (*kms.TokenResponse, error) {
	return send[kms.TokenResponse](ctx, k.client, opRefreshToken, opts, func(server string) (*http.Request, error) {
		return kms.NewRefreshTokenRequest(server, body)
	})
}

// LogoutUser revokes the session of the token that the call carries. Client.SignOut also makes the client forget it.
func (k *KMS) LogoutUser(ctx context.Context, opts ...CallOption) error {
	return exec(ctx, k.client, opLogoutUser, opts, func(server string) (*http.Request, error) {
		return kms.NewLogoutUserRequest(server, nil)
	})
}

// CompleteStepUp trades the proof of Twofactor.VerifyOtp for a raised access token for one service. The proof works only
// with the session that asked for it.
func (k *KMS) CompleteStepUp(ctx context.Context, body kms.StepUp, opts ...CallOption) (*kms.TokenResponse, error) {
	return send[kms.TokenResponse](ctx, k.client, opCompleteStepUp, opts, func(server string) (*http.Request, error) {
		return kms.NewCompleteStepUpRequest(server, body)
	})
}

// IssueToken is the OAuth 2.0 token endpoint. Its errors have the codes of RFC 6749: CodeInvalidClient and so on. An authorization code is sent once: shown
// again it would end what it gave.
func (k *KMS) IssueToken(ctx context.Context, body kms.TokenRequest, opts ...CallOption) (*kms.TokenResponse, error) {
	if body.GrantType == "authorization_code" {
		opts = append(slices.Clone(opts), WithoutRetry())
	}
	return send[kms.TokenResponse](ctx, k.client, opIssueToken, opts, func(server string) (*http.Request, error) {
		return kms.NewIssueTokenRequestWithBody(server, "application/x-www-form-urlencoded", strings.NewReader(tokenForm(body).Encode()))
	})
}

// tokenForm is the form of a token request as RFC 6749 and RFC 8707 have it: resource is repeated. The generated encoder numbers the values of a
// list (resource[0]), which no authorization server reads.
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

// RevokeToken ends a token (RFC 7009): of a refresh token its session. Unknown tokens are no error.
func (k *KMS) RevokeToken(ctx context.Context, body kms.TokenQuestion, opts ...CallOption) error {
	return exec(ctx, k.client, opRevokeToken, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeTokenRequestWithFormdataBody(server, body)
	})
}

// IntrospectToken tells whether a token is good now (RFC 7662), to the holder of an API key of whom or for whom it is.
func (k *KMS) IntrospectToken(ctx context.Context, body kms.TokenQuestion, opts ...CallOption) (*kms.Introspection, error) {
	return send[kms.Introspection](ctx, k.client, opIntrospectToken, opts, func(server string) (*http.Request, error) {
		return kms.NewIntrospectTokenRequestWithFormdataBody(server, body)
	})
}

// ListRevocations reads what was ended after a position, and waits for it when params say so; for services.
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

// PutProofKey registers a key that signs second-factor proofs; for the twofactor service alone. Repeating is safe.
func (k *KMS) PutProofKey(ctx context.Context, kid string, body kms.ProofKey, opts ...CallOption) error {
	return exec(ctx, k.client, opPutProofKey, opts, func(server string) (*http.Request, error) {
		return kms.NewPutProofKeyRequest(server, kid, body)
	})
}

// GetKmsHealth tells that the service's process lives.
func (k *KMS) GetKmsHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, k.client, opGetKmsHealth, opts, kms.NewGetKmsHealthRequest)
}

// GetKmsReadiness tells whether the service can work; ErrUnavailable when not.
func (k *KMS) GetKmsReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, k.client, opGetKmsReadiness, opts, kms.NewGetKmsReadinessRequest)
}
