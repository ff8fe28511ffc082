package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListKeyrings reads one page of the keyrings by name; Keyrings reads all. It requires a second factor.
func (k *KMS) ListKeyrings(ctx context.Context, params *kms.ListKeyringsParams, opts ...CallOption) (*kms.KeyringList, error) {
	return send[kms.KeyringList](ctx, k.client, opListKeyrings, opts, func(server string) (*http.Request, error) {
		return kms.NewListKeyringsRequest(server, params)
	})
}

// Keyrings yields the keyrings by name.
func (k *KMS) Keyrings(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Keyring, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Keyring, *string, error) {
		page, err := k.ListKeyrings(ctx, &kms.ListKeyringsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// CreateKeyring creates a keyring with one key. It requires a second factor.
func (k *KMS) CreateKeyring(ctx context.Context, body kms.KeyringCreate, opts ...CallOption) (*kms.Keyring, error) {
	return send[kms.Keyring](ctx, k.client, opCreateKeyring, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateKeyringRequest(server, body)
	})
}

// GetKeyring reads a keyring and its newest keys, including public keys. Users need a second factor.
func (k *KMS) GetKeyring(ctx context.Context, name string, opts ...CallOption) (*kms.Keyring, error) {
	return send[kms.Keyring](ctx, k.client, opGetKeyring, opts, func(server string) (*http.Request, error) {
		return kms.NewGetKeyringRequest(server, name, nil)
	})
}

// UpdateKeyring changes a keyring if tag names its current version: IfMatch(keyring.Version). It requires a second
// factor. Error: ErrStale.
func (k *KMS) UpdateKeyring(ctx context.Context, name string, tag ETag, body kms.KeyringUpdate, opts ...CallOption) (*kms.Keyring, error) {
	return send[kms.Keyring](ctx, k.client, opUpdateKeyring, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateKeyringRequest(server, name, &kms.UpdateKeyringParams{IfMatch: string(tag)}, body)
	})
}

// RotateKeyring adds a new key to a keyring, which becomes its current key. It requires a second factor.
func (k *KMS) RotateKeyring(ctx context.Context, name string, opts ...CallOption) (*kms.Keyring, error) {
	return send[kms.Keyring](ctx, k.client, opRotateKeyring, opts, func(server string) (*http.Request, error) {
		return kms.NewRotateKeyringRequest(server, name)
	})
}

// DeleteKeyring disables a keyring now and deletes it in seven days. RestoreKeyring undoes it until then. It requires a
// second factor.
func (k *KMS) DeleteKeyring(ctx context.Context, name string, opts ...CallOption) (*kms.Keyring, error) {
	return send[kms.Keyring](ctx, k.client, opDeleteKeyring, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteKeyringRequest(server, name)
	})
}

// RestoreKeyring cancels the deletion of a keyring. It requires a second factor.
func (k *KMS) RestoreKeyring(ctx context.Context, name string, opts ...CallOption) (*kms.Keyring, error) {
	return send[kms.Keyring](ctx, k.client, opRestoreKeyring, opts, func(server string) (*http.Request, error) {
		return kms.NewRestoreKeyringRequest(server, name)
	})
}

// EncryptData encrypts with the current key of a keyring and binds the ciphertext to a context, which may be nil. Users
// need a second factor.
func (k *KMS) EncryptData(ctx context.Context, name string, body kms.KeyringPlaintext, opts ...CallOption) (*kms.KeyringCiphertext, error) {
	return send[kms.KeyringCiphertext](ctx, k.client, opEncryptData, opts, func(server string) (*http.Request, error) {
		return kms.NewEncryptDataRequest(server, name, body)
	})
}

// DecryptData decrypts a ciphertext of EncryptData. The context must be the same. Users need a second factor.
func (k *KMS) DecryptData(ctx context.Context, name string, body kms.KeyringCiphertextInContext, opts ...CallOption) (*kms.KeyringOpened, error) {
	return send[kms.KeyringOpened](ctx, k.client, opDecryptData, opts, func(server string) (*http.Request, error) {
		return kms.NewDecryptDataRequest(server, name, body)
	})
}

// RewrapData re-encrypts a ciphertext with the current key. The plaintext does not leave the kms. Users need a second
// factor.
func (k *KMS) RewrapData(ctx context.Context, name string, body kms.KeyringCiphertextInContext, opts ...CallOption) (*kms.KeyringCiphertext, error) {
	return send[kms.KeyringCiphertext](ctx, k.client, opRewrapData, opts, func(server string) (*http.Request, error) {
		return kms.NewRewrapDataRequest(server, name, body)
	})
}

// ComputeMac computes the HMAC of data with the current key of a keyring. Users need a second factor.
func (k *KMS) ComputeMac(ctx context.Context, name string, body kms.KeyringData, opts ...CallOption) (*kms.KeyringMac, error) {
	return send[kms.KeyringMac](ctx, k.client, opComputeMac, opts, func(server string) (*http.Request, error) {
		return kms.NewComputeMacRequest(server, name, body)
	})
}

// VerifyMac verifies an HMAC. Users need a second factor.
func (k *KMS) VerifyMac(ctx context.Context, name string, body kms.KeyringMacCheck, opts ...CallOption) (*kms.KeyringVerdict, error) {
	return send[kms.KeyringVerdict](ctx, k.client, opVerifyMac, opts, func(server string) (*http.Request, error) {
		return kms.NewVerifyMacRequest(server, name, body)
	})
}

// SignData signs data with the current key of a keyring. Users need a second factor.
func (k *KMS) SignData(ctx context.Context, name string, body kms.KeyringData, opts ...CallOption) (*kms.KeyringSignature, error) {
	return send[kms.KeyringSignature](ctx, k.client, opSignData, opts, func(server string) (*http.Request, error) {
		return kms.NewSignDataRequest(server, name, body)
	})
}

// VerifySignature verifies a signature. Users need a second factor.
func (k *KMS) VerifySignature(ctx context.Context, name string, body kms.KeyringSignatureCheck, opts ...CallOption) (*kms.KeyringVerdict, error) {
	return send[kms.KeyringVerdict](ctx, k.client, opVerifySignature, opts, func(server string) (*http.Request, error) {
		return kms.NewVerifySignatureRequest(server, name, body)
	})
}
