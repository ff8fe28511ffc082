package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
)

// ListSigningKeys implements listSigningKeys.
func (h api) ListSigningKeys(ctx context.Context, r kmsapi.ListSigningKeysRequestObject) (kmsapi.ListSigningKeysResponseObject, error) {
	keys, next, err := h.SigningKeys.List(ctx, caller(ctx), text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListSigningKeys200JSONResponse{Items: bodies(keys, h.signingKeyBody), NextCursor: present(next)}, nil
}

// RotateSigningKey implements rotateSigningKey.
func (h api) RotateSigningKey(ctx context.Context, r kmsapi.RotateSigningKeyRequestObject) (kmsapi.RotateSigningKeyResponseObject, error) {
	algorithm := ""
	if r.Body.Algorithm != nil {
		algorithm = string(*r.Body.Algorithm)
	}
	named, err := h.SigningKeys.Rotate(ctx, caller(ctx), algorithm)
	if err != nil {
		return nil, err
	}
	return kmsapi.RotateSigningKey200JSONResponse(h.signingKeyBody(named)), nil
}

// RevokeSigningKey implements revokeSigningKey.
func (h api) RevokeSigningKey(ctx context.Context, r kmsapi.RevokeSigningKeyRequestObject) (kmsapi.RevokeSigningKeyResponseObject, error) {
	gone, err := h.SigningKeys.Revoke(ctx, caller(ctx), r.Kid)
	if err != nil {
		return nil, err
	}
	return kmsapi.RevokeSigningKey200JSONResponse(h.signingKeyBody(gone)), nil
}

func (h api) signingKeyBody(k signing.Key) kmsapi.SigningKey {
	state := k.State(h.Clock.Now())
	if state == signing.Unpublished { // created by a clock that was ahead
		state = signing.Next
	}
	return kmsapi.SigningKey{
		Kid: k.KID, Algorithm: kmsapi.SigningAlgorithm(k.Alg), State: kmsapi.SigningKeyState(state), PublishedAt: k.PublishedAt,
		ActiveAt: reached(k.ActiveAt), RetiringAt: reached(k.RetiringAt), GoneAt: reached(k.GoneAt), RevokedAt: reached(k.RevokedAt),
	}
}

// jwkBody returns the JWK of a key (RFC 7517, RFC 8037).
func jwkBody(k signing.Key) kmsapi.Jwk {
	x, y := k.Coordinates()
	if k.Alg == signing.ES256 {
		return kmsapi.Jwk{Kty: "EC", Crv: "P-256", Alg: k.Alg, Use: "sig", Kid: k.KID, X: x, Y: &y}
	}
	return kmsapi.Jwk{Kty: "OKP", Crv: "Ed25519", Alg: k.Alg, Use: "sig", Kid: k.KID, X: x}
}
