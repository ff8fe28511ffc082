package handlers

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/requestid"
)

// target is path, query and precondition of a request, in the form in which fingerprints have them here: with the line of the precondition also where there is none.
func target(r *http.Request) string {
	return r.URL.EscapedPath() + "?" + r.URL.RawQuery + "\n" + r.Header.Get("If-Match")
}

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
