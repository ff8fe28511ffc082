package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListSigningKeys reads one page of the keys that sign tokens, newest first; SigningKeys reads all. It requires a
// second factor.
func (k *KMS) ListSigningKeys(ctx context.Context, params *kms.ListSigningKeysParams, opts ...CallOption) (*kms.SigningKeyList, error) {
	return send[kms.SigningKeyList](ctx, k.client, opListSigningKeys, opts, func(server string) (*http.Request, error) {
		return kms.NewListSigningKeysRequest(server, params)
	})
}

// SigningKeys yields the keys that sign tokens, newest first.
func (k *KMS) SigningKeys(ctx context.Context, opts ...CallOption) iter.Seq2[kms.SigningKey, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.SigningKey, *string, error) {
		page, err := k.ListSigningKeys(ctx, &kms.ListSigningKeysParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// RotateSigningKey schedules the change to the next signing key. It returns that key and the time from which it signs.
// It requires a second factor.
func (k *KMS) RotateSigningKey(ctx context.Context, body kms.SigningKeyRotate, opts ...CallOption) (*kms.SigningKey, error) {
	return send[kms.SigningKey](ctx, k.client, opRotateSigningKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateSigningKeyRequest(server, body)
	})
}

// RevokeSigningKey revokes a key and every token that it has signed, immediately. That includes the tokens of this
// client, which fetches new ones by itself. It requires a second factor.
func (k *KMS) RevokeSigningKey(ctx context.Context, kid string, opts ...CallOption) (*kms.SigningKey, error) {
	return send[kms.SigningKey](ctx, k.client, opRevokeSigningKey, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeSigningKeyRequest(server, kid)
	})
}
