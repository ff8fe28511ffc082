package handlers

import (
	"context"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/httpserver"
)

// WatchSecret implements watchSecret.
func (h api) WatchSecret(ctx context.Context, r kmsapi.WatchSecretRequestObject) (kmsapi.WatchSecretResponseObject, error) {
	known := func(version int64) bool {
		return r.Params.IfNoneMatch != nil && etag.Names(*r.Params.IfNoneMatch, etag.Of(version))
	}
	found, err := h.Secrets.Watch(ctx, caller(ctx), r.SecretName, known, httpserver.PreferredWait(r.Params.Prefer))
	if err != nil {
		return nil, err
	}
	return kmsapi.WatchSecret200JSONResponse{Body: secretBody(found), Headers: kmsapi.WatchSecret200ResponseHeaders{ETag: etag.Of(found.Version)}}, nil
}

// ListSecretVersions implements listSecretVersions.
func (h api) ListSecretVersions(ctx context.Context, r kmsapi.ListSecretVersionsRequestObject) (kmsapi.ListSecretVersionsResponseObject, error) {
	of, versions, next, err := h.Secrets.Versions(ctx, caller(ctx), r.SecretName, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	items := bodies(versions, func(v secret.Version) kmsapi.SecretVersion { return versionBody(of, v) })
	return kmsapi.ListSecretVersions200JSONResponse{Items: items, NextCursor: present(next)}, nil
}

// GetSecretVersion implements getSecretVersion.
func (h api) GetSecretVersion(ctx context.Context, r kmsapi.GetSecretVersionRequestObject) (kmsapi.GetSecretVersionResponseObject, error) {
	of, v, value, err := h.Secrets.GetVersion(ctx, caller(ctx), r.SecretName, r.SecretVersion)
	if err != nil {
		return nil, err
	}
	body := kmsapi.GetSecretVersion200JSONResponse{Version: v.Number, CreatedAt: v.CreatedAt, Value: value}
	if stage := of.Stage(v.Number); stage != "" {
		body.Stage = new(kmsapi.SecretVersionValueStage(stage))
	}
	return body, nil
}

// DeleteSecretVersion implements deleteSecretVersion.
func (h api) DeleteSecretVersion(ctx context.Context, r kmsapi.DeleteSecretVersionRequestObject) (kmsapi.DeleteSecretVersionResponseObject, error) {
	if err := h.Secrets.Delete(ctx, caller(ctx), r.SecretName, r.SecretVersion); err != nil {
		return nil, err
	}
	return kmsapi.DeleteSecretVersion204Response{}, nil
}

// UndeleteSecretVersion implements undeleteSecretVersion.
func (h api) UndeleteSecretVersion(ctx context.Context, r kmsapi.UndeleteSecretVersionRequestObject) (kmsapi.UndeleteSecretVersionResponseObject, error) {
	of, v, err := h.Secrets.Undelete(ctx, caller(ctx), r.SecretName, r.SecretVersion)
	if err != nil {
		return nil, err
	}
	return kmsapi.UndeleteSecretVersion200JSONResponse(versionBody(of, v)), nil
}

// DestroySecretVersion implements destroySecretVersion.
func (h api) DestroySecretVersion(ctx context.Context, r kmsapi.DestroySecretVersionRequestObject) (kmsapi.DestroySecretVersionResponseObject, error) {
	done, err := h.Secrets.Destroy(ctx, caller(ctx), r.SecretName, r.SecretVersion)
	if err != nil {
		return nil, err
	}
	remains := []kmsapi.SecretDestructionRemains{kmsapi.SecretDestructionRemainsOlderBackups}
	if done.Remains.Log {
		remains = append(remains, kmsapi.SecretDestructionRemainsWriteAheadLog)
	}
	if done.Remains.Free {
		remains = append(remains, kmsapi.SecretDestructionRemainsFreeSpace)
	}
	return kmsapi.DestroySecretVersion200JSONResponse{Version: done.Number, DestroyedAt: done.DestroyedAt, Remains: remains}, nil
}

// PromoteSecretVersion implements promoteSecretVersion.
func (h api) PromoteSecretVersion(ctx context.Context, r kmsapi.PromoteSecretVersionRequestObject) (kmsapi.PromoteSecretVersionResponseObject, error) {
	var over *etag.Match
	if r.Params.IfMatch != nil {
		over = new(etag.ParseMatch(*r.Params.IfMatch))
	}
	made, err := h.Secrets.Promote(ctx, caller(ctx), r.SecretName, r.SecretVersion, over)
	if err != nil {
		return nil, err
	}
	return kmsapi.PromoteSecretVersion200JSONResponse{
		Body: secretBody(made), Headers: kmsapi.PromoteSecretVersion200ResponseHeaders{ETag: etag.Of(made.Version)},
	}, nil
}

func secretBody(s secret.Secret) kmsapi.SecretMetadata {
	body := kmsapi.SecretMetadata{Name: s.Name, Version: s.Version, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
	if s.Previous != 0 {
		body.PreviousVersion = &s.Previous
	}
	if s.Pending != 0 {
		body.PendingVersion = &s.Pending
	}
	return body
}

func versionBody(of secret.Secret, v secret.Version) kmsapi.SecretVersion {
	body := kmsapi.SecretVersion{Version: v.Number, CreatedAt: v.CreatedAt, DeletedAt: reached(v.DeletedAt), DestroyedAt: reached(v.DestroyedAt)}
	if stage := of.Stage(v.Number); stage != "" {
		body.Stage = new(kmsapi.SecretVersionStage(stage))
	}
	return body
}

// reached returns nil for the zero time.
func reached(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
