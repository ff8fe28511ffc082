package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/kms"
)

// PutSecretRotation sets how a secret is rotated. WithIfMatch changes only that version of the rotation; otherwise
// ErrStale. Users need a second factor.
func (k *KMS) PutSecretRotation(ctx context.Context, name string, body kms.SecretRotationPut, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opPutSecretRotation, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretRotationRequest(server, name, nil, body)
	})
}

// GetSecretRotation reads how a secret is rotated, and the progress of a rotation. Users need a second factor.
func (k *KMS) GetSecretRotation(ctx context.Context, name string, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opGetSecretRotation, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretRotationRequest(server, name, nil)
	})
}

// DeleteSecretRotation ends the rotation of a secret. Users need a second factor.
func (k *KMS) DeleteSecretRotation(ctx context.Context, name string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteSecretRotation, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteSecretRotationRequest(server, name)
	})
}

// RotateSecret starts a rotation of a secret. GetSecretRotation reports its progress. Users need a second factor.
func (k *KMS) RotateSecret(ctx context.Context, name string, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opRotateSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateSecretRequest(server, name)
	})
}

// RollbackSecretRotation starts a rollback to the previous version, also at the target where a driver has put the
// secret. GetSecretRotation reports its progress. Users need a second factor.
func (k *KMS) RollbackSecretRotation(ctx context.Context, name string, opts ...CallOption) (*kms.SecretRotation, error) {
	return send[kms.SecretRotation](ctx, k.client, opRollBackSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewRollbackSecretRotationRequest(server, name)
	})
}
