package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// PutSecret stores the next version of a secret. WithIfNoneMatch stores only the first version, WithIfMatch only if
// that version is current; otherwise ErrStale. Users need a second factor.
func (k *KMS) PutSecret(ctx context.Context, name string, body kms.SecretPut, opts ...CallOption) (*kms.SecretMetadata, error) {
	return send[kms.SecretMetadata](ctx, k.client, opPutSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretRequest(server, name, nil, body)
	})
}

// GetSecret reads the current version of a secret. Users need a second factor.
func (k *KMS) GetSecret(ctx context.Context, name string, opts ...CallOption) (*kms.Secret, error) {
	return send[kms.Secret](ctx, k.client, opGetSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretRequest(server, name, nil)
	})
}

// ListSecrets reads one page of secrets by name, without values; Secrets reads all. Users need a second factor.
func (k *KMS) ListSecrets(ctx context.Context, params *kms.ListSecretsParams, opts ...CallOption) (*kms.SecretList, error) {
	return send[kms.SecretList](ctx, k.client, opListSecrets, opts, func(server string) (*http.Request, error) {
		return kms.NewListSecretsRequest(server, params)
	})
}

// Secrets yields the secrets by name, without values.
func (k *KMS) Secrets(ctx context.Context, opts ...CallOption) iter.Seq2[kms.SecretMetadata, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.SecretMetadata, *string, error) {
		page, err := k.ListSecrets(ctx, &kms.ListSecretsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// CreateDataKey creates a data key with a keyring and returns it in plaintext and wrapped. It is for services.
func (k *KMS) CreateDataKey(ctx context.Context, keyring string, opts ...CallOption) (*kms.DataKey, error) {
	return send[kms.DataKey](ctx, k.client, opCreateDataKey, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateDataKeyRequest(server, keyring)
	})
}

// UnwrapDataKey unwraps a data key. It is for services.
func (k *KMS) UnwrapDataKey(ctx context.Context, keyring string, body kms.WrappedDataKey, opts ...CallOption) (*kms.DataKey, error) {
	return send[kms.DataKey](ctx, k.client, opUnwrapDataKey, opts, func(server string) (*http.Request, error) {
		return kms.NewUnwrapDataKeyRequest(server, keyring, body)
	})
}
