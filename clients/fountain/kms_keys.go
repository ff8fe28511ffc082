package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// CreateAPIKey creates an API key. The response holds its text, once. A key of another owner requires a second factor.
func (k *KMS) CreateAPIKey(ctx context.Context, body kms.APIKeyCreate, opts ...CallOption) (*kms.APIKeyWithSecret, error) {
	return send[kms.APIKeyWithSecret](ctx, k.client, opCreateAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateAPIKeyRequest(server, nil, body)
	})
}

// ListAPIKeys reads one page of API keys, newest first; APIKeys reads all. An administrator needs a second factor,
// except for their own keys.
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

// GetAPIKey reads the description of an API key. A key of another owner requires a second factor.
func (k *KMS) GetAPIKey(ctx context.Context, keyID string, opts ...CallOption) (*kms.APIKey, error) {
	return send[kms.APIKey](ctx, k.client, opGetAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewGetAPIKeyRequest(server, keyID, nil)
	})
}

// UpdateAPIKey changes an API key's name, metadata or rate limit if tag names its current version:
// IfMatch(key.Version). A key of another owner requires a second factor. Error: ErrStale.
func (k *KMS) UpdateAPIKey(ctx context.Context, keyID string, tag ETag, body kms.APIKeyUpdate, opts ...CallOption) (*kms.APIKey, error) {
	return send[kms.APIKey](ctx, k.client, opUpdateAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateAPIKeyRequest(server, keyID, &kms.UpdateAPIKeyParams{IfMatch: string(tag)}, body)
	})
}

// WhoamiAPIKey describes an API key to its holder. The key itself is the credential. Error: CodeInvalidCredentials.
func (k *KMS) WhoamiAPIKey(ctx context.Context, body kms.APIKeyText, opts ...CallOption) (*kms.APIKeyIdentity, error) {
	return send[kms.APIKeyIdentity](ctx, k.client, opWhoamiAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewWhoamiAPIKeyRequest(server, body)
	})
}

// RevokeAPIKey permanently revokes an API key and every key made from it by rotation. A key of another owner requires a
// second factor. Repeating is safe.
func (k *KMS) RevokeAPIKey(ctx context.Context, keyID string, opts ...CallOption) (*kms.APIKeyRevocation, error) {
	return send[kms.APIKeyRevocation](ctx, k.client, opRevokeAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeAPIKeyRequest(server, keyID)
	})
}

// RetireAPIKey ends a rotated key before its overlap ends. Its successors keep working. A key of another owner requires
// a second factor. Repeating is safe.
func (k *KMS) RetireAPIKey(ctx context.Context, keyID string, opts ...CallOption) error {
	return exec(ctx, k.client, opRetireAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRetireAPIKeyRequest(server, keyID)
	})
}

// RotateAPIKey replaces an API key. The old key works until the overlap ends. A key of another owner requires a second
// factor.
func (k *KMS) RotateAPIKey(ctx context.Context, keyID string, body kms.APIKeyRotate, opts ...CallOption) (*kms.APIKeyRotation, error) {
	return send[kms.APIKeyRotation](ctx, k.client, opRotateAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateAPIKeyRequest(server, keyID, nil, body)
	})
}

// RotateCurrentAPIKey replaces the API key that a service signed in with. The service should store an Idempotency-Key
// first and pass it (WithIdempotencyKey), so that it gets its new key even if it crashes during the call.
func (k *KMS) RotateCurrentAPIKey(ctx context.Context, body kms.APIKeyRotate, opts ...CallOption) (*kms.APIKeyRotation, error) {
	return send[kms.APIKeyRotation](ctx, k.client, opRotateCurrentAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateCurrentAPIKeyRequest(server, nil, body)
	})
}

// VerifyAPIKey reports whether an API key is valid. An invalid key is a result, not an error.
func (k *KMS) VerifyAPIKey(ctx context.Context, body kms.APIKeyVerify, opts ...CallOption) (*kms.APIKeyVerdict, error) {
	return send[kms.APIKeyVerdict](ctx, k.client, opVerifyAPIKey, opts, func(server string) (*http.Request, error) {
		return kms.NewVerifyAPIKeyRequest(server, body)
	})
}
