package fountain

import (
	"context"

	"github.com/fountainai/fountain/clients/kms"
)

// GetRootKey reports which root key is in use and the progress of a rotation. It requires a second factor.
func (k *KMS) GetRootKey(ctx context.Context, opts ...CallOption) (*kms.RootKey, error) {
	return send[kms.RootKey](ctx, k.client, opGetRootKey, opts, kms.NewGetRootKeyRequest)
}

// RotateRootKey makes the new root key in the file the one in use. GetRootKey reports when nothing is sealed with the
// previous one any more. It requires a second factor.
func (k *KMS) RotateRootKey(ctx context.Context, opts ...CallOption) (*kms.RootKey, error) {
	return send[kms.RootKey](ctx, k.client, opRotateRootKey, opts, kms.NewRotateRootKeyRequest)
}
