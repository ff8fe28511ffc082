package handlers

import (
	"context"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/store"
)

// CreateAPIKey implements createApiKey.
func (h *Handlers) CreateAPIKey(ctx context.Context, r kmsapi.CreateAPIKeyRequestObject) (kmsapi.CreateAPIKeyResponseObject, error) {
	core := h.core.Load()
	draft := apikey.Draft{Name: r.Body.Name, OwnerKind: string(r.Body.OwnerKind), OwnerID: r.Body.OwnerID, Scopes: r.Body.Scopes}
	if r.Body.ExpiresAt != nil {
		draft.ExpiresAt = *r.Body.ExpiresAt
	}
	if err := core.Keys.MayCreate(caller(ctx), h.raise(ctx), draft); err != nil {
		return nil, err // before a stored answer is told, which holds the key
	}
	request := creation{operation: "createApiKey", key: r.Params.IdempotencyKey, body: r.Body, secret: true}
	return answered(core.create(ctx, request, func(ctx context.Context, tx *store.Tx) (made, error) {
		key, text, err := core.Keys.Create(ctx, tx, caller(ctx), h.raise(ctx), draft)
		return made{body: kmsapi.APIKeyWithSecret{APIKey: keyBody(key, h.Clock.Now()), Key: text}}, err
	}))
}

// raise demands the second factor that the contract names for the operation.
func (h *Handlers) raise(ctx context.Context) apikey.Raise {
	return func() error {
		return auth.RequireStepUp(caller(ctx), httpserver.OperationFrom(ctx), h.Clock.Now())
	}
}

// ListAPIKeys implements listApiKeys.
func (h *Handlers) ListAPIKeys(ctx context.Context, r kmsapi.ListAPIKeysRequestObject) (kmsapi.ListAPIKeysResponseObject, error) {
	keys, next, err := h.core.Load().Keys.List(ctx, caller(ctx), text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	now := h.Clock.Now()
	items := bodies(keys, func(k apikey.Key) kmsapi.APIKey { return keyBody(k, now) })
	return kmsapi.ListAPIKeys200JSONResponse{Items: items, NextCursor: present(next)}, nil
}

// GetAPIKey implements getApiKey.
func (h *Handlers) GetAPIKey(ctx context.Context, r kmsapi.GetAPIKeyRequestObject) (kmsapi.GetAPIKeyResponseObject, error) {
	key, err := h.core.Load().Keys.Get(ctx, caller(ctx), r.KeyID)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetAPIKey200JSONResponse(keyBody(key, h.Clock.Now())), nil
}

// RevokeAPIKey implements revokeApiKey.
func (h *Handlers) RevokeAPIKey(ctx context.Context, r kmsapi.RevokeAPIKeyRequestObject) (kmsapi.RevokeAPIKeyResponseObject, error) {
	if err := h.core.Load().Keys.Revoke(ctx, caller(ctx), r.KeyID); err != nil {
		return nil, err
	}
	return kmsapi.RevokeAPIKey204Response{}, nil
}

// RotateAPIKey implements rotateApiKey.
func (h *Handlers) RotateAPIKey(ctx context.Context, r kmsapi.RotateAPIKeyRequestObject) (kmsapi.RotateAPIKeyResponseObject, error) {
	core := h.core.Load()
	if _, err := core.Keys.MayRotate(ctx, core.DB.Read(ctx), caller(ctx), h.raise(ctx), r.KeyID); err != nil {
		return nil, err // before a stored answer is told, which holds the key
	}
	request := creation{operation: "rotateApiKey", key: r.Params.IdempotencyKey, body: r.Body, secret: true}
	return answered(core.create(ctx, request, func(ctx context.Context, tx *store.Tx) (made, error) {
		rotation, err := core.Keys.Rotate(ctx, tx, caller(ctx), h.raise(ctx), r.KeyID, overlap(r.Body))
		return made{body: rotationBody(rotation, h.Clock.Now())}, err
	}))
}

// RotateCurrentAPIKey implements rotateCurrentApiKey.
func (h *Handlers) RotateCurrentAPIKey(ctx context.Context, r kmsapi.RotateCurrentAPIKeyRequestObject) (kmsapi.RotateCurrentAPIKeyResponseObject, error) {
	core := h.core.Load()
	request := creation{operation: "rotateCurrentApiKey", key: &r.Params.IdempotencyKey, body: r.Body, secret: true}
	return answered(core.create(ctx, request, func(ctx context.Context, tx *store.Tx) (made, error) {
		rotation, err := core.Keys.RotateCurrent(ctx, tx, caller(ctx), overlap(r.Body))
		return made{body: rotationBody(rotation, h.Clock.Now())}, err
	}))
}

func overlap(body *kmsapi.APIKeyRotate) time.Duration {
	if body == nil || body.OverlapSeconds == nil {
		return apikey.DefaultOverlap
	}
	return time.Duration(*body.OverlapSeconds) * time.Second
}

// VerifyAPIKey implements verifyApiKey.
func (h *Handlers) VerifyAPIKey(ctx context.Context, r kmsapi.VerifyAPIKeyRequestObject) (kmsapi.VerifyAPIKeyResponseObject, error) {
	var need []string
	if r.Body.Scopes != nil {
		need = *r.Body.Scopes
	}
	verdict, err := h.core.Load().Keys.Verify(ctx, r.Body.Key, need)
	if err != nil {
		return nil, err
	}
	return kmsapi.VerifyAPIKey200JSONResponse(verdictBody(verdict)), nil
}
