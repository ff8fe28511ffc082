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

// target returns path, query and precondition of a request, as they enter fingerprints of idempotency keys. The line of the precondition is there even when it is empty.
func target(r *http.Request) string {
	return r.URL.EscapedPath() + "?" + r.URL.RawQuery + "\n" + r.Header.Get("If-Match")
}

// idempotencyKey returns the key of the request, or nil when none was sent.
func idempotencyKey(ctx context.Context, operation string, value *string) *idempotency.Key {
	return httpserver.KeyOf(ctx, actor(ctx).Subject, operation, value)
}

// actor returns the caller. The server admits no request to these operations without a principal.
func actor(ctx context.Context) domain.Actor {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return domain.Actor{}
	}
	return domain.Actor{Subject: p.Subject, Kind: p.Kind, RequestID: httpserver.RequestID(ctx), Address: requestid.Client(ctx)}
}
