package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// RegisterClient registers a web app where users sign in. For a confidential client the response holds its secret. It
// requires a second factor.
func (k *KMS) RegisterClient(ctx context.Context, body kms.ClientCreate, opts ...CallOption) (*kms.ClientRegistration, error) {
	return send[kms.ClientRegistration](ctx, k.client, opRegisterClient, opts, func(server string) (*http.Request, error) {
		return kms.NewRegisterClientRequest(server, nil, body)
	})
}

// ListClients reads one page of web apps, oldest first; Clients reads all. It requires a second factor.
func (k *KMS) ListClients(ctx context.Context, params *kms.ListClientsParams, opts ...CallOption) (*kms.ClientList, error) {
	return send[kms.ClientList](ctx, k.client, opListClients, opts, func(server string) (*http.Request, error) {
		return kms.NewListClientsRequest(server, params)
	})
}

// Clients yields the web apps, oldest first.
func (k *KMS) Clients(ctx context.Context, opts ...CallOption) iter.Seq2[kms.WebClient, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.WebClient, *string, error) {
		page, err := k.ListClients(ctx, &kms.ListClientsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetClient reads a web app's registration. It requires a second factor.
func (k *KMS) GetClient(ctx context.Context, clientID string, opts ...CallOption) (*kms.WebClient, error) {
	return send[kms.WebClient](ctx, k.client, opGetClient, opts, func(server string) (*http.Request, error) {
		return kms.NewGetClientRequest(server, clientID, nil)
	})
}

// UpdateClient changes a web app's registration if tag names its current version. It requires a second factor. Error:
// ErrStale.
func (k *KMS) UpdateClient(ctx context.Context, clientID string, tag ETag, body kms.ClientUpdate, opts ...CallOption) (*kms.WebClient, error) {
	return send[kms.WebClient](ctx, k.client, opUpdateClient, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateClientRequest(server, clientID, &kms.UpdateClientParams{IfMatch: string(tag)}, body)
	})
}

// DeleteClient deletes the registration of a web app and ends the codes, sessions and tokens that it got for users. It
// requires a second factor.
func (k *KMS) DeleteClient(ctx context.Context, clientID string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteClient, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteClientRequest(server, clientID)
	})
}

// RotateClientSecret replaces the secret of a confidential web app. The old secret stops working immediately. It
// requires a second factor.
func (k *KMS) RotateClientSecret(ctx context.Context, clientID string, opts ...CallOption) (*kms.ClientRegistration, error) {
	return send[kms.ClientRegistration](ctx, k.client, opRotateClientSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateClientSecretRequest(server, clientID, nil)
	})
}

// GetAuthorizationPage returns the page where users sign in to a web app.
func (k *KMS) GetAuthorizationPage(ctx context.Context, params *kms.GetAuthorizationPageParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, k.client, opGetAuthorizationPage, opts, func(server string) (*http.Request, error) {
		return kms.NewGetAuthorizationPageRequest(server, params)
	}, "text/html")
}

// CheckAuthorization checks a web app's authorization request before the user signs in. It is for the authorization
// page.
func (k *KMS) CheckAuthorization(ctx context.Context, body kms.AuthorizationRequest, opts ...CallOption) (*kms.Authorization, error) {
	return send[kms.Authorization](ctx, k.client, opCheckAuthorization, opts, func(server string) (*http.Request, error) {
		return kms.NewCheckAuthorizationRequest(server, body)
	})
}

// AuthorizeClient issues a code to a web app for the user of the session, or says what is missing. It is for the
// authorization page.
func (k *KMS) AuthorizeClient(ctx context.Context, body kms.AuthorizationAnswer, opts ...CallOption) (*kms.Authorization, error) {
	return send[kms.Authorization](ctx, k.client, opAuthorizeClient, opts, func(server string) (*http.Request, error) {
		return kms.NewAuthorizeClientRequest(server, body)
	})
}

// GetUserInfo returns the claims about the user who signed in. The call carries the access token of a code flow
// (WithBearer).
func (k *KMS) GetUserInfo(ctx context.Context, opts ...CallOption) (*kms.UserInfo, error) {
	return send[kms.UserInfo](ctx, k.client, opGetUserInfo, opts, kms.NewGetUserInfoRequest)
}

// GetSignOutPage returns the page where a web app signs users out.
func (k *KMS) GetSignOutPage(ctx context.Context, params *kms.GetSignOutPageParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, k.client, opGetSignOutPage, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSignOutPageRequest(server, params)
	}, "text/html")
}

// EndSession ends the session in which an ID token was issued. It is for the sign-out page.
func (k *KMS) EndSession(ctx context.Context, body kms.SignOut, opts ...CallOption) (*kms.SignedOut, error) {
	return send[kms.SignedOut](ctx, k.client, opEndSession, opts, func(server string) (*http.Request, error) {
		return kms.NewEndSessionRequest(server, body)
	})
}

// GetProviderMetadata returns the OpenID provider's metadata.
func (k *KMS) GetProviderMetadata(ctx context.Context, opts ...CallOption) (*kms.ServerMetadata, error) {
	return send[kms.ServerMetadata](ctx, k.client, opGetProviderMetadata, opts, kms.NewGetProviderMetadataRequest)
}

// ListConsents reads one page of the consents that the caller has given to web apps; Consents reads all.
func (k *KMS) ListConsents(ctx context.Context, userID string, params *kms.ListConsentsParams, opts ...CallOption) (*kms.ConsentList, error) {
	return send[kms.ConsentList](ctx, k.client, opListConsents, opts, func(server string) (*http.Request, error) {
		return kms.NewListConsentsRequest(server, userID, params)
	})
}

// Consents yields the consents that the caller has given to web apps, oldest app first.
func (k *KMS) Consents(ctx context.Context, userID string, opts ...CallOption) iter.Seq2[kms.Consent, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Consent, *string, error) {
		page, err := k.ListConsents(ctx, userID, &kms.ListConsentsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// WithdrawConsent withdraws the consent that the caller has given to a web app. The app's sessions and codes for the
// caller end. Error: ErrNotFound.
func (k *KMS) WithdrawConsent(ctx context.Context, userID, clientID string, opts ...CallOption) (*kms.SessionRevocation, error) {
	return send[kms.SessionRevocation](ctx, k.client, opWithdrawConsent, opts, func(server string) (*http.Request, error) {
		return kms.NewWithdrawConsentRequest(server, userID, clientID)
	})
}
