package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/keyring"
	"github.com/fountainai/fountain/internal/etag"
)

// ListKeyrings implements listKeyrings.
func (h api) ListKeyrings(ctx context.Context, r kmsapi.ListKeyringsRequestObject) (kmsapi.ListKeyringsResponseObject, error) {
	found, next, err := h.Keyrings.List(ctx, caller(ctx), text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListKeyrings200JSONResponse{Items: bodies(found, keyringBody), NextCursor: present(next)}, nil
}

// CreateKeyring implements createKeyring.
func (h api) CreateKeyring(ctx context.Context, r kmsapi.CreateKeyringRequestObject) (kmsapi.CreateKeyringResponseObject, error) {
	draft := keyring.Draft{Name: r.Body.Name, Algorithm: keyring.Algorithm(r.Body.Algorithm)}
	if r.Body.MaxUses != nil {
		draft.MaxUses = *r.Body.MaxUses
	}
	if r.Body.Services != nil {
		draft.Services = *r.Body.Services
	}
	made, err := h.Keyrings.Create(ctx, caller(ctx), draft)
	if err != nil {
		return nil, err
	}
	return kmsapi.CreateKeyring201JSONResponse{Body: keyringBody(made), Headers: kmsapi.CreateKeyring201ResponseHeaders{ETag: etag.Of(made.Version)}}, nil
}

// GetKeyring implements getKeyring.
func (h api) GetKeyring(ctx context.Context, r kmsapi.GetKeyringRequestObject) (kmsapi.GetKeyringResponseObject, error) {
	found, err := h.Keyrings.Get(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetKeyring200JSONResponse{Body: keyringBody(found), Headers: kmsapi.GetKeyring200ResponseHeaders{ETag: etag.Of(found.Version)}}, nil
}

// UpdateKeyring implements updateKeyring.
func (h api) UpdateKeyring(ctx context.Context, r kmsapi.UpdateKeyringRequestObject) (kmsapi.UpdateKeyringResponseObject, error) {
	change := keyring.Change{MinVersion: r.Body.MinVersion, MaxUses: r.Body.MaxUses}
	if r.Body.Services != nil {
		change.Services = append([]string{}, *r.Body.Services...)
	}
	changed, err := h.Keyrings.Update(ctx, caller(ctx), r.Keyring, etag.ParseMatch(r.Params.IfMatch), change)
	if err != nil {
		return nil, err
	}
	return kmsapi.UpdateKeyring200JSONResponse{Body: keyringBody(changed), Headers: kmsapi.UpdateKeyring200ResponseHeaders{ETag: etag.Of(changed.Version)}}, nil
}

// DeleteKeyring implements deleteKeyring.
func (h api) DeleteKeyring(ctx context.Context, r kmsapi.DeleteKeyringRequestObject) (kmsapi.DeleteKeyringResponseObject, error) {
	leaving, err := h.Keyrings.Delete(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	return kmsapi.DeleteKeyring200JSONResponse{Body: keyringBody(leaving), Headers: kmsapi.DeleteKeyring200ResponseHeaders{ETag: etag.Of(leaving.Version)}}, nil
}

// RestoreKeyring implements restoreKeyring.
func (h api) RestoreKeyring(ctx context.Context, r kmsapi.RestoreKeyringRequestObject) (kmsapi.RestoreKeyringResponseObject, error) {
	kept, err := h.Keyrings.Restore(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	return kmsapi.RestoreKeyring200JSONResponse{Body: keyringBody(kept), Headers: kmsapi.RestoreKeyring200ResponseHeaders{ETag: etag.Of(kept.Version)}}, nil
}

// RotateKeyring implements rotateKeyring.
func (h api) RotateKeyring(ctx context.Context, r kmsapi.RotateKeyringRequestObject) (kmsapi.RotateKeyringResponseObject, error) {
	rotated, err := h.Keyrings.Rotate(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	return kmsapi.RotateKeyring200JSONResponse{Body: keyringBody(rotated), Headers: kmsapi.RotateKeyring200ResponseHeaders{ETag: etag.Of(rotated.Version)}}, nil
}

// EncryptData implements encryptData.
func (h api) EncryptData(ctx context.Context, r kmsapi.EncryptDataRequestObject) (kmsapi.EncryptDataResponseObject, error) {
	sealed, err := h.Keyrings.Encrypt(ctx, caller(ctx), r.Keyring, r.Body.Plaintext, octets(r.Body.Context))
	if err != nil {
		return nil, err
	}
	return kmsapi.EncryptData200JSONResponse{Ciphertext: sealed.Bytes, KeyVersion: sealed.Number}, nil
}

// DecryptData implements decryptData.
func (h api) DecryptData(ctx context.Context, r kmsapi.DecryptDataRequestObject) (kmsapi.DecryptDataResponseObject, error) {
	plain, err := h.Keyrings.Decrypt(ctx, caller(ctx), r.Keyring, r.Body.Ciphertext, octets(r.Body.Context))
	if err != nil {
		return nil, err
	}
	return kmsapi.DecryptData200JSONResponse{Plaintext: append([]byte{}, plain...)}, nil
}

// RewrapData implements rewrapData.
func (h api) RewrapData(ctx context.Context, r kmsapi.RewrapDataRequestObject) (kmsapi.RewrapDataResponseObject, error) {
	sealed, err := h.Keyrings.Rewrap(ctx, caller(ctx), r.Keyring, r.Body.Ciphertext, octets(r.Body.Context))
	if err != nil {
		return nil, err
	}
	return kmsapi.RewrapData200JSONResponse{Ciphertext: sealed.Bytes, KeyVersion: sealed.Number}, nil
}

// ComputeMac implements computeMac.
func (h api) ComputeMac(ctx context.Context, r kmsapi.ComputeMacRequestObject) (kmsapi.ComputeMacResponseObject, error) {
	made, err := h.Keyrings.Sum(ctx, caller(ctx), r.Keyring, r.Body.Data)
	if err != nil {
		return nil, err
	}
	return kmsapi.ComputeMac200JSONResponse{Mac: made.Bytes, KeyVersion: made.Number}, nil
}

// VerifyMac implements verifyMac.
func (h api) VerifyMac(ctx context.Context, r kmsapi.VerifyMacRequestObject) (kmsapi.VerifyMacResponseObject, error) {
	valid, err := h.Keyrings.VerifySum(ctx, caller(ctx), r.Keyring, r.Body.Data, keyring.Text{Bytes: r.Body.Mac, Number: r.Body.KeyVersion})
	if err != nil {
		return nil, err
	}
	return kmsapi.VerifyMac200JSONResponse{Valid: valid}, nil
}

// SignData implements signData.
func (h api) SignData(ctx context.Context, r kmsapi.SignDataRequestObject) (kmsapi.SignDataResponseObject, error) {
	made, err := h.Keyrings.Sign(ctx, caller(ctx), r.Keyring, r.Body.Data)
	if err != nil {
		return nil, err
	}
	return kmsapi.SignData200JSONResponse{Signature: made.Bytes, KeyVersion: made.Number}, nil
}

// VerifySignature implements verifySignature.
func (h api) VerifySignature(ctx context.Context, r kmsapi.VerifySignatureRequestObject) (kmsapi.VerifySignatureResponseObject, error) {
	valid, err := h.Keyrings.VerifySignature(ctx, caller(ctx), r.Keyring, r.Body.Data, keyring.Text{Bytes: r.Body.Signature, Number: r.Body.KeyVersion})
	if err != nil {
		return nil, err
	}
	return kmsapi.VerifySignature200JSONResponse{Valid: valid}, nil
}

func octets(b *[]byte) []byte {
	if b == nil {
		return nil
	}
	return *b
}

func keyringBody(k keyring.Keyring) kmsapi.Keyring {
	body := kmsapi.Keyring{
		Name: k.Name, Algorithm: kmsapi.KeyringAlgorithm(k.Algorithm), Version: k.Version, CurrentKey: k.Current, MinVersion: k.MinVersion, MaxUses: k.MaxUses,
		Services: append([]string{}, k.Services...), CreatedAt: k.CreatedAt, RotatedAt: k.RotatedAt, DeleteAt: reached(k.DeleteAt),
	}
	if k.Keys != nil {
		keys := bodies(k.Keys, keyringKeyBody)
		body.Keys = &keys
	}
	return body
}

func keyringKeyBody(k keyring.Key) kmsapi.KeyringKey {
	body := kmsapi.KeyringKey{KeyVersion: k.Number, CreatedAt: k.CreatedAt}
	if len(k.Public) > 0 {
		body.PublicKey = &k.Public
	}
	if k.Uses > 0 {
		body.Uses = &k.Uses
	}
	return body
}
