package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// CreateAPIKey makes an API key; the answer holds its text, once.
func (k *KMS) CreateAPIKey(ctx context.Context, body kms.APIKeyCreate, opts ...CallOption) (*kms.APIKeyWithSecret, error) {
	return send[kms.APIKeyWithSecret](ctx, k.client, opCreateAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateAPIKeyRequest(server, nil, body)
	})
}

// ListAPIKeys reads one page of API keys, newest first; APIKeys reads all.
func (k *KMS) ListAPIKeys(ctx context.Context, params *kms.ListAPIKeysParams, opts ...CallOption) (*kms.APIKeyList, error) {
	return send[kms.APIKeyList](ctx, k.client, opListAPIKeys, opts, func(server string) (*http.Request, error) {
		return kms.NewListAPIKeysRequest(server, params)
	})
}

// APIKeys yields the API keys that the caller may see, newest first.
func (k *KMS) APIKeys(ctx context.Context, opts ...CallOption) iter.Seq2[kms.APIKey, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.APIKey, *string, error) {
		page, err := k.ListAPIKeys(ctx, &kms.ListAPIKeysParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetAPIKey reads an API key's description.
func (k *KMS) GetAPIKey(ctx context.Context, keyID string, opts ...CallOption) (*kms.APIKey, error) {
	return send[kms.APIKey](ctx, k.client, opGetAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewGetAPIKeyRequest(server, keyID, nil)
	})
}

// UpdateAPIKey changes an API key's name, metadata or rate limit in the version that tag names.
func (k *KMS) UpdateAPIKey(ctx context.Context, keyID string, tag ETag, body kms.APIKeyUpdate, opts ...CallOption) (*kms.APIKey, error) {
	return send[kms.APIKey](ctx, k.client, opUpdateAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateAPIKeyRequest(server, keyID, &kms.UpdateAPIKeyParams{IfMatch: string(tag)}, body)
	})
}

// WhoamiAPIKey tells the holder of an API key what it is; the key is the credential. Error: CodeInvalidCredentials.
func (k *KMS) WhoamiAPIKey(ctx context.Context, body kms.APIKeyText, opts ...CallOption) (*kms.APIKeyIdentity, error) {
	return send[kms.APIKeyIdentity](ctx, k.client, opWhoamiAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewWhoamiAPIKeyRequest(server, body)
	})
}

// RevokeAPIKey ends an API key and every key made from it by rotation, at once and for ever. Repeating is safe.
func (k *KMS) RevokeAPIKey(ctx context.Context, keyID string, opts ...CallOption) (*kms.APIKeyRevocation, error) {
	return send[kms.APIKeyRevocation](ctx, k.client, opRevokeAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeAPIKeyRequest(server, keyID)
	})
}

// RetireAPIKey ends a key that was rotated before its overlap is over; its successors go on. Repeating is safe.
func (k *KMS) RetireAPIKey(ctx context.Context, keyID string, opts ...CallOption) error {
	return exec(ctx, k.client, opRetireAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRetireAPIKeyRequest(server, keyID)
	})
}

// RotateAPIKey replaces an API key; the old one works for the overlap.
func (k *KMS) RotateAPIKey(ctx context.Context, keyID string, body kms.APIKeyRotate, opts ...CallOption) (*kms.APIKeyRotation, error) {
	return send[kms.APIKeyRotation](ctx, k.client, opRotateAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateAPIKeyRequest(server, keyID, nil, body)
	})
}

// RotateCurrentAPIKey replaces the key that a service signed in with. A service gives an Idempotency-Key that it has stored
// before (WithIdempotencyKey), so that it gets its new key even if it crashes meanwhile.
func (k *KMS) RotateCurrentAPIKey(ctx context.Context, body kms.APIKeyRotate, opts ...CallOption) (*kms.APIKeyRotation, error) {
	return send[kms.APIKeyRotation](ctx, k.client, opRotateCurrentAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateCurrentAPIKeyRequest(server, nil, body)
	})
}

// VerifyAPIKey tells whether an API key is good. A bad key is an answer, not an error.
func (k *KMS) VerifyAPIKey(ctx context.Context, body kms.APIKeyVerify, opts ...CallOption) (*kms.APIKeyVerdict, error) {
	return send[kms.APIKeyVerdict](ctx, k.client, opVerifyAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewVerifyAPIKeyRequest(server, body)
	})
}
