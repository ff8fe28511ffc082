package handlers

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// PutSecret implements putSecret.
func (h api) PutSecret(ctx context.Context, r kmsapi.PutSecretRequestObject) (kmsapi.PutSecretResponseObject, error) {
	over, err := precondition(r.Params)
	if err != nil {
		return nil, err
	}
	over.Pending = r.Params.Stage != nil && *r.Params.Stage == kmsapi.PutSecretParamsStagePending
	if over.Pending && over.Absent {
		return nil, problem.New(problem.InvalidRequest, "A pending version and If-None-Match exclude each other.")
	}
	stored, err := h.Secrets.Put(ctx, caller(ctx), r.SecretName, r.Body.Value, over)
	if err != nil {
		return nil, err
	}
	if stored.Latest == 1 {
		return kmsapi.PutSecret201JSONResponse{Body: secretBody(stored), Headers: kmsapi.PutSecret201ResponseHeaders{ETag: etag.Of(1)}}, nil
	}
	return kmsapi.PutSecret200JSONResponse{
		Body: secretBody(stored), Headers: kmsapi.PutSecret200ResponseHeaders{ETag: etag.Of(stored.Version)},
	}, nil
}

func precondition(p kmsapi.PutSecretParams) (secret.Precondition, error) {
	switch {
	case p.IfMatch != nil && p.IfNoneMatch != nil:
		return secret.Precondition{}, problem.New(problem.InvalidRequest, "If-Match and If-None-Match exclude each other.")
	case p.IfMatch != nil:
		match := etag.ParseMatch(*p.IfMatch)
		return secret.Precondition{Match: &match}, nil
	}
	return secret.Precondition{Absent: p.IfNoneMatch != nil}, nil
}

// GetSecret implements getSecret.
func (h api) GetSecret(ctx context.Context, r kmsapi.GetSecretRequestObject) (kmsapi.GetSecretResponseObject, error) {
	found, value, err := h.Secrets.Get(ctx, caller(ctx), r.SecretName)
	if err != nil {
		return nil, err
	}
	return &secretAnswer{GetSecret200JSONResponse: kmsapi.GetSecret200JSONResponse{
		Body: kmsapi.Secret{
			Name: found.Name, Version: found.Version, Value: value, CreatedAt: found.CreatedAt, UpdatedAt: found.UpdatedAt,
		},
		Headers: kmsapi.GetSecret200ResponseHeaders{ETag: etag.Of(found.Version)},
	}}, nil
}

// ListSecrets implements listSecrets.
func (h api) ListSecrets(ctx context.Context, r kmsapi.ListSecretsRequestObject) (kmsapi.ListSecretsResponseObject, error) {
	secrets, next, err := h.Secrets.List(ctx, caller(ctx), text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListSecrets200JSONResponse{Items: bodies(secrets, secretBody), NextCursor: present(next)}, nil
}

// CreateDataKey implements createDataKey.
func (h api) CreateDataKey(ctx context.Context, r kmsapi.CreateDataKeyRequestObject) (kmsapi.CreateDataKeyResponseObject, error) {
	own, err := h.DataKeys.Owns(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	if !own {
		key, err := h.Keyrings.CreateDataKey(ctx, caller(ctx), r.Keyring)
		if err != nil {
			return nil, err
		}
		return kmsapi.CreateDataKey201JSONResponse{Plaintext: key.Plain, Wrapped: key.Wrapped}, nil
	}
	key, err := h.DataKeys.Create(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	return kmsapi.CreateDataKey201JSONResponse{Plaintext: key.Plain, Wrapped: key.Wrapped}, nil
}

// UnwrapDataKey implements unwrapDataKey.
func (h api) UnwrapDataKey(ctx context.Context, r kmsapi.UnwrapDataKeyRequestObject) (kmsapi.UnwrapDataKeyResponseObject, error) {
	own, err := h.DataKeys.Owns(ctx, caller(ctx), r.Keyring)
	if err != nil {
		return nil, err
	}
	if !own {
		key, err := h.Keyrings.UnwrapDataKey(ctx, caller(ctx), r.Keyring, r.Body.Wrapped)
		if err != nil {
			return nil, err
		}
		return kmsapi.UnwrapDataKey200JSONResponse{Plaintext: key.Plain, Wrapped: key.Wrapped}, nil
	}
	key, err := h.DataKeys.Unwrap(ctx, caller(ctx), r.Keyring, r.Body.Wrapped)
	if err != nil {
		return nil, err
	}
	return kmsapi.UnwrapDataKey200JSONResponse{Plaintext: key.Plain, Wrapped: key.Wrapped}, nil
}

// PutProofKey implements putProofKey.
func (h api) PutProofKey(ctx context.Context, r kmsapi.PutProofKeyRequestObject) (kmsapi.PutProofKeyResponseObject, error) {
	public, err := base64.RawURLEncoding.Strict().DecodeString(r.Body.X)
	if err != nil {
		return nil, problem.New(problem.ValidationFailed, "The key is not base64url.").WithField("body", "/x", "format", "is not canonical base64url")
	}
	if err := h.ProofKeys.Register(ctx, caller(ctx), r.Kid, ed25519.PublicKey(public)); err != nil {
		return nil, err
	}
	return kmsapi.PutProofKey204Response{}, nil
}
