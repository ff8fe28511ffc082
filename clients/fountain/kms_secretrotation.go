package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/kms"
)

// PutSecretRotation says how a secret is rotated. WithIfMatch does so only over that rotation; otherwise ErrStale. It asks users for a second factor.
func (k *KMS) PutSecretRotation(ctx context.Context, name string, body kms.SecretRotationPut, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opPutSecretRotation, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretRotationRequest(server, name, nil, body)
	})
}

// GetSecretRotation reads how a secret is rotated, and how far it is. It asks users for a second factor.
func (k *KMS) GetSecretRotation(ctx context.Context, name string, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opGetSecretRotation, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretRotationRequest(server, name, nil)
	})
}

// DeleteSecretRotation has a secret rotated no more. It asks users for a second factor.
func (k *KMS) DeleteSecretRotation(ctx context.Context, name string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteSecretRotation, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteSecretRotationRequest(server, name)
	})
}

// RotateSecret begins a rotation of a secret; GetSecretRotation tells how far it is. It asks users for a second factor.
func (k *KMS) RotateSecret(ctx context.Context, name string, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opRotateSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateSecretRequest(server, name)
	})
}

// RollbackSecretRotation begins the way back to the previous version, also where a driver has put it; GetSecretRotation tells how far it is. It asks users for a second
// factor.
func (k *KMS) RollbackSecretRotation(ctx context.Context, name string, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opRollBackSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewRollbackSecretRotationRequest(server, name)
	})
}
