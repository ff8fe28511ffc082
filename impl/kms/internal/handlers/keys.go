package handlers

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/store"
)

// CreateAPIKey implements createApiKey.
func (h api) CreateAPIKey(ctx context.Context, r kmsapi.CreateAPIKeyRequestObject) (kmsapi.CreateAPIKeyResponseObject, error) {
	draft, err := draftFrom(r.Body)
	if err != nil {
		return nil, err
	}
	request := createRequest{operation: "createApiKey", key: r.Params.IdempotencyKey, secret: true}
	request.may = func(ctx context.Context, tx *store.Tx) error {
		_, err := h.APIKeys.MayCreate(ctx, tx, h.keyCaller(ctx), &draft)
		return err
	}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		key, text, err := h.APIKeys.Create(ctx, tx, h.keyCaller(ctx), draft)
		return response{body: kmsapi.APIKeyWithSecret{APIKey: keyBody(key, h.Clock.Now()), Key: text}}, err
	}))
}

func draftFrom(body *kmsapi.APIKeyCreate) (apikey.Draft, error) {
	draft := apikey.Draft{Name: body.Name, Scopes: body.Scopes}
	switch {
	case body.OwnerKind != nil && body.OwnerID != nil:
		draft.Owner = authority.Ref{Kind: string(*body.OwnerKind), ID: *body.OwnerID}
	case body.OwnerKind != nil || body.OwnerID != nil:
		return draft, domain.Refuse(domain.ValidationFailed, "ownerKind and ownerId are sent together or not at all.").
			WithField("body", "/ownerId", "dependentRequired", "is sent together with ownerKind")
	}
	if body.ExpiresAt != nil {
		draft.ExpiresAt = *body.ExpiresAt
	}
	if body.Environment != nil {
		draft.Environment = keytext.Environment(*body.Environment)
	}
	if body.Metadata != nil {
		draft.Metadata = *body.Metadata
	}
	if body.RateLimit != nil {
		draft.Limit = limitFrom(*body.RateLimit)
	}
	return draft, nil
}

func limitFrom(body kmsapi.KeyRateLimit) apikey.RateLimit {
	if body.Limit == 0 {
		return apikey.RateLimit{}
	}
	return apikey.RateLimit{Uses: body.Limit, Window: time.Duration(body.WindowSeconds) * time.Second}
}

// UpdateAPIKey implements updateApiKey.
func (h api) UpdateAPIKey(ctx context.Context, r kmsapi.UpdateAPIKeyRequestObject) (kmsapi.UpdateAPIKeyResponseObject, error) {
	change := apikey.Change{Name: r.Body.Name, Metadata: r.Body.Metadata}
	if r.Body.RateLimit != nil {
		limit := limitFrom(*r.Body.RateLimit)
		change.Limit = &limit
	}
	k, err := h.APIKeys.Update(ctx, h.keyCaller(ctx), r.KeyID, etag.ParseMatch(r.Params.IfMatch), change)
	if err != nil {
		return nil, err
	}
	h.Presented.Forget(k.ID)
	return kmsapi.UpdateAPIKey200JSONResponse{Body: keyBody(k, h.Clock.Now()), Headers: kmsapi.UpdateAPIKey200ResponseHeaders{ETag: etag.Of(k.Version)}}, nil
}

// WhoamiAPIKey implements whoamiApiKey.
func (h api) WhoamiAPIKey(ctx context.Context, r kmsapi.WhoamiAPIKeyRequestObject) (kmsapi.WhoamiAPIKeyResponseObject, error) {
	v, err := h.Presented.Identify(ctx, r.Body.Key)
	if err != nil {
		return nil, err
	}
	body := kmsapi.APIKeyIdentity{APIKey: keyBody(v.Key, h.Clock.Now()), OwnerName: v.Owner.Name, Scopes: list(v.Scopes)}
	if len(v.Owner.Roles) > 0 {
		body.Roles = &v.Owner.Roles
	}
	return kmsapi.WhoamiAPIKey200JSONResponse(body), nil
}

// ListAPIKeys implements listApiKeys.
func (h api) ListAPIKeys(ctx context.Context, r kmsapi.ListAPIKeysRequestObject) (kmsapi.ListAPIKeysResponseObject, error) {
	keys, next, err := h.APIKeys.List(ctx, h.keyCaller(ctx), r.Params.Owner != nil, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	now := h.Clock.Now()
	items := bodies(keys, func(k apikey.Key) kmsapi.APIKey { return keyBody(k, now) })
	return kmsapi.ListAPIKeys200JSONResponse{Items: items, NextCursor: present(next)}, nil
}

// GetAPIKey implements getApiKey.
func (h api) GetAPIKey(ctx context.Context, r kmsapi.GetAPIKeyRequestObject) (kmsapi.GetAPIKeyResponseObject, error) {
	key, err := h.APIKeys.Get(ctx, h.keyCaller(ctx), r.KeyID)
	if err != nil {
		return nil, err
	}
	body := keyBody(key, h.Clock.Now())
	return kmsapi.GetAPIKey200JSONResponse{Body: body, Headers: kmsapi.GetAPIKey200ResponseHeaders{ETag: etag.OfState(key.Version, stateOf(body))}}, nil
}

// RevokeAPIKey implements revokeApiKey.
func (h api) RevokeAPIKey(ctx context.Context, r kmsapi.RevokeAPIKeyRequestObject) (kmsapi.RevokeAPIKeyResponseObject, error) {
	n, err := h.APIKeys.Revoke(ctx, h.keyCaller(ctx), r.KeyID)
	if err != nil {
		return nil, err
	}
	return kmsapi.RevokeAPIKey200JSONResponse{Revoked: int64(n)}, nil
}

// RetireAPIKey implements retireApiKey.
func (h api) RetireAPIKey(ctx context.Context, r kmsapi.RetireAPIKeyRequestObject) (kmsapi.RetireAPIKeyResponseObject, error) {
	if err := h.APIKeys.Retire(ctx, h.keyCaller(ctx), r.KeyID); err != nil {
		return nil, err
	}
	return kmsapi.RetireAPIKey204Response{}, nil
}

// RotateAPIKey implements rotateApiKey.
func (h api) RotateAPIKey(ctx context.Context, r kmsapi.RotateAPIKeyRequestObject) (kmsapi.RotateAPIKeyResponseObject, error) {
	request := createRequest{operation: "rotateApiKey", key: r.Params.IdempotencyKey, secret: true}
	request.may = func(ctx context.Context, tx *store.Tx) error {
		_, _, err := h.APIKeys.MayRotate(ctx, tx, h.keyCaller(ctx), r.KeyID)
		return err
	}
	defer h.Presented.Forget(r.KeyID) // its expiry may have changed
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		rotation, err := h.APIKeys.Rotate(ctx, tx, h.keyCaller(ctx), r.KeyID, orderFrom(r.Body))
		return response{body: rotationBody(rotation, h.Clock.Now())}, err
	}))
}

// RotateCurrentAPIKey implements rotateCurrentApiKey.
func (h api) RotateCurrentAPIKey(ctx context.Context, r kmsapi.RotateCurrentAPIKeyRequestObject) (kmsapi.RotateCurrentAPIKeyResponseObject, error) {
	request := createRequest{operation: "rotateCurrentApiKey", key: &r.Params.IdempotencyKey, secret: true}
	request.may = func(ctx context.Context, tx *store.Tx) error {
		_, err := h.APIKeys.Standing().Hold(ctx, tx, caller(ctx))
		return err
	}
	defer h.Presented.Forget(caller(ctx).ClientID)
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		rotation, err := h.APIKeys.RotateCurrent(ctx, tx, h.keyCaller(ctx), orderFrom(r.Body).Overlap)
		return response{body: rotationBody(rotation, h.Clock.Now())}, err
	}))
}

func orderFrom(body *kmsapi.APIKeyRotate) apikey.Order {
	o := apikey.Order{Overlap: apikey.DefaultOverlap}
	if body != nil && body.OverlapSeconds != nil {
		o.Overlap = time.Duration(*body.OverlapSeconds) * time.Second
	}
	if body != nil && body.ExpiresAt != nil {
		o.ExpiresAt = *body.ExpiresAt
	}
	return o
}

// VerifyAPIKey implements verifyApiKey.
func (h api) VerifyAPIKey(ctx context.Context, r kmsapi.VerifyAPIKeyRequestObject) (kmsapi.VerifyAPIKeyResponseObject, error) {
	var need []string
	if r.Body.Scopes != nil {
		need = *r.Body.Scopes
	}
	verdict, err := h.Presented.Verify(ctx, r.Body.Key, need)
	if err != nil {
		return nil, err
	}
	answer := verdictAnswer(verdictBody(&verdict))
	return &answer, nil
}

// stateOf returns a hash of a body for its ETag. It covers what changes without a new version, such as the last use of a key.
func stateOf(body any) string {
	digest := fnv.New64a()
	_ = json.NewEncoder(digest).Encode(body) // a body that can't be encoded can't be sent either
	return strconv.FormatUint(digest.Sum64(), 36)
}
