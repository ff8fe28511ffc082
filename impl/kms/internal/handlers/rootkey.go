package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
)

// GetRootKey implements getRootKey.
func (h api) GetRootKey(ctx context.Context, _ kmsapi.GetRootKeyRequestObject) (kmsapi.GetRootKeyResponseObject, error) {
	status, err := h.RootKey.Status(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return kmsapi.GetRootKey200JSONResponse(rootKeyBody(status)), nil
}

// RotateRootKey implements rotateRootKey.
func (h api) RotateRootKey(ctx context.Context, _ kmsapi.RotateRootKeyRequestObject) (kmsapi.RotateRootKeyResponseObject, error) {
	status, err := h.RootKey.Rotate(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return kmsapi.RotateRootKey200JSONResponse(rootKeyBody(status)), nil
}

func rootKeyBody(s vault.Status) kmsapi.RootKey {
	state := kmsapi.RootKeyStateIdle
	if !s.RotatedAt.IsZero() && s.FinishedAt.IsZero() {
		state = kmsapi.RootKeyStateResealing
	}
	return kmsapi.RootKey{
		Active: s.Active, Previous: present(s.Previous), InFile: present(s.Current), State: state, Sealed: s.Sealed, Remaining: s.Remaining,
		RotatedAt: reached(s.RotatedAt), FinishedAt: reached(s.FinishedAt), Replicas: bodies(s.Holders, holderBody),
	}
}

func holderBody(h vault.Holder) kmsapi.RootKeyHolder {
	return kmsapi.RootKeyHolder{Replica: h.Replica, RootKeys: h.RootKeys, Fault: present(h.Fault), SeenAt: h.SeenAt}
}
