package handlers

import (
	"context"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/requestid"
)

// idempotencyKey returns nil when none was sent.
func idempotencyKey(ctx context.Context, operation string, value *string) *idempotency.Key {
	return httpserver.KeyOf(ctx, actor(ctx).Subject, operation, value)
}

// actor is the caller; the door has let nobody in without a principal.
func actor(ctx context.Context) domain.Actor {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return domain.Actor{}
	}
	return domain.Actor{Subject: p.Subject, Kind: p.Kind, RequestID: httpserver.RequestID(ctx), Address: requestid.Client(ctx)}
}
