package handlers

import (
	"context"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/etag"
)

const (
	defaultLength  = 43 // characters of a random value: 258 bits
	defaultOverlap = 24 * time.Hour
)

// PutSecretRotation implements putSecretRotation.
func (h api) PutSecretRotation(ctx context.Context, r kmsapi.PutSecretRotationRequestObject) (kmsapi.PutSecretRotationResponseObject, error) {
	wanted := secret.Rotation{Name: r.SecretName, Driver: string(r.Body.Driver), Length: defaultLength, Overlap: defaultOverlap}
	if r.Body.Length != nil {
		wanted.Length = int64(*r.Body.Length)
	}
	if r.Body.IntervalSeconds != nil {
		wanted.Interval = time.Duration(*r.Body.IntervalSeconds) * time.Second
	}
	if r.Body.OverlapSeconds != nil {
		wanted.Overlap = time.Duration(*r.Body.OverlapSeconds) * time.Second
	}
	wanted.URL, wanted.Credential = textOf(r.Body.URL), textOf(r.Body.Credential)
	if r.Body.Collections != nil {
		wanted.Collections = *r.Body.Collections
	}
	switch {
	case r.Body.Actions != nil:
		wanted.Actions = *r.Body.Actions
	case wanted.Driver == secret.Typesense:
		wanted.Actions = []string{"documents:search"}
	}
	var over *etag.Match
	if r.Params.IfMatch != nil {
		over = new(etag.ParseMatch(*r.Params.IfMatch))
	}
	put, err := h.Secrets.PutRotation(ctx, caller(ctx), wanted, over)
	if err != nil {
		return nil, err
	}
	return kmsapi.PutSecretRotation200JSONResponse{
		Body: secretRotationBody(put), Headers: kmsapi.PutSecretRotation200ResponseHeaders{ETag: etag.OfState(put.Revision, put.Words()...)},
	}, nil
}

// GetSecretRotation implements getSecretRotation.
func (h api) GetSecretRotation(ctx context.Context, r kmsapi.GetSecretRotationRequestObject) (kmsapi.GetSecretRotationResponseObject, error) {
	found, err := h.Secrets.GetRotation(ctx, caller(ctx), r.SecretName)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetSecretRotation200JSONResponse{
		Body: secretRotationBody(found), Headers: kmsapi.GetSecretRotation200ResponseHeaders{ETag: etag.OfState(found.Revision, found.Words()...)},
	}, nil
}

// DeleteSecretRotation implements deleteSecretRotation.
func (h api) DeleteSecretRotation(ctx context.Context, r kmsapi.DeleteSecretRotationRequestObject) (kmsapi.DeleteSecretRotationResponseObject, error) {
	if err := h.Secrets.DeleteRotation(ctx, caller(ctx), r.SecretName); err != nil {
		return nil, err
	}
	return kmsapi.DeleteSecretRotation204Response{}, nil
}

// RotateSecret implements rotateSecret.
func (h api) RotateSecret(ctx context.Context, r kmsapi.RotateSecretRequestObject) (kmsapi.RotateSecretResponseObject, error) {
	begun, err := h.Secrets.Rotate(ctx, caller(ctx), r.SecretName)
	if err != nil {
		return nil, err
	}
	return kmsapi.RotateSecret202JSONResponse(secretRotationBody(begun)), nil
}

// RollbackSecretRotation implements rollbackSecretRotation.
func (h api) RollbackSecretRotation(ctx context.Context, r kmsapi.RollbackSecretRotationRequestObject) (kmsapi.RollbackSecretRotationResponseObject, error) {
	begun, err := h.Secrets.Rollback(ctx, caller(ctx), r.SecretName)
	if err != nil {
		return nil, err
	}
	return kmsapi.RollbackSecretRotation202JSONResponse(secretRotationBody(begun)), nil
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func secretRotationBody(r secret.Rotation) kmsapi.SecretRotation {
	length := int32(r.Length)
	body := kmsapi.SecretRotation{
		Driver: kmsapi.SecretRotationDriver(r.Driver), Length: &length, State: kmsapi.SecretRotationState(r.Step), Attempts: int32(r.Attempts),
		NextAt: reached(r.NextAt), StartedAt: reached(r.StartedAt), LastEndedAt: reached(r.LastEndedAt),
	}
	if r.Step == secret.Idle {
		body.State = kmsapi.SecretRotationStateIdle
	}
	if r.Interval > 0 {
		body.IntervalSeconds = new(int64(r.Interval / time.Second))
	}
	if r.Version != 0 {
		body.PendingVersion = &r.Version
	}
	if r.LastOutcome != "" {
		body.LastOutcome = new(kmsapi.SecretRotationLastOutcome(r.LastOutcome))
	}
	if r.LastVersion != 0 {
		body.LastVersion = &r.LastVersion
	}
	if r.LastError != "" {
		body.LastError = new(kmsapi.SecretRotationLastError(r.LastError))
	}
	if r.Driver != secret.Random {
		outsideBody(&body, r)
	}
	return body
}

// outsideBody adds the fields of drivers that put versions outside the kms.
func outsideBody(body *kmsapi.SecretRotation, r secret.Rotation) {
	body.URL, body.Credential, body.OverlapSeconds = &r.URL, &r.Credential, new(int64(r.Overlap/time.Second))
	if len(r.Collections) > 0 {
		body.Collections = &r.Collections
	}
	if len(r.Actions) > 0 {
		body.Actions = &r.Actions
	}
	if len(r.Ending) == 0 {
		return
	}
	ending := make([]kmsapi.SecretEnding, len(r.Ending))
	for i, p := range r.Ending {
		ending[i] = kmsapi.SecretEnding{Version: p.Version, At: p.EndAt, Attempts: int32(p.Attempts)}
		if p.LastError != "" {
			ending[i].LastError = new(kmsapi.SecretEndingLastError(p.LastError))
		}
	}
	body.Ending = &ending
}
