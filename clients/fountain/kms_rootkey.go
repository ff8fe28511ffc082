package fountain

import (
	"context"

	"github.com/fountainai/fountain/clients/kms"
)

// GetRootKey tells which root key seals, and how far a rotation is. It asks for a second factor.
func (k *KMS) GetRootKey(ctx context.Context, opts ...CallOption) (*kms.RootKey, error) {
	return send[kms.RootKey](ctx, k.client, opGetRootKey, opts, kms.NewGetRootKeyRequest)
}

// RotateRootKey has the root key in the file seal from now on; GetRootKey tells when nothing remains under the one before. It asks for a second factor.
func (k *KMS) RotateRootKey(ctx context.Context, opts ...CallOption) (*kms.RootKey, error) {
	return send[kms.RootKey](ctx, k.client, opRotateRootKey, opts, kms.NewRotateRootKeyRequest)
}
