package handlers

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/requestid"
)

const keyHeader = "Idempotency-Key"

// request is what the fingerprint of an Idempotency-Key is made of.
type request struct {
	target string // path, query and precondition
	body   []byte
}

type requestKey struct{}

// rememberRequest keeps target and bytes of requests that carry an Idempotency-Key; the body is in memory by now and bounded by
// the contract.
func rememberRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(keyHeader) == "" || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			httpserver.RequestError(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		// The same bytes on another precondition are another request.
		target := r.URL.EscapedPath() + "?" + r.URL.RawQuery + "\n" + r.Header.Get("If-Match")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, request{target: target, body: body})))
	})
}

// idempotencyKey returns nil when none was sent.
func idempotencyKey(ctx context.Context, operation string, value *string) *idempotency.Key {
	kept, ok := ctx.Value(requestKey{}).(request)
	if value == nil || !ok {
		return nil
	}
	return &idempotency.Key{Principal: actor(ctx).Subject, Operation: operation, Value: *value, Path: kept.target, Body: kept.body}
}

// actor is the caller; the door has let nobody in without a principal.
func actor(ctx context.Context) domain.Actor {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return domain.Actor{}
	}
	return domain.Actor{Subject: p.Subject, Kind: p.Kind, RequestID: httpserver.RequestID(ctx), Address: requestid.Client(ctx)}
}
