package httpserver

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/fountainai/fountain/internal/idempotency"
)

const keyHeader = "Idempotency-Key"

// remembered is what makes two requests with one Idempotency-Key the same one.
type remembered struct {
	target string // path, query and precondition
	body   []byte
}

type rememberedKey struct{}

// Remember keeps target and bytes of requests that carry an Idempotency-Key, for KeyOf; the body is in memory by now and bounded by the contract.
func Remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(keyHeader) == "" || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			RequestError(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		// The same bytes on another precondition are another request.
		target := r.URL.EscapedPath() + "?" + r.URL.RawQuery + "\n" + r.Header.Get("If-Match")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), rememberedKey{}, remembered{target: target, body: body})))
	})
}

// KeyOf returns the key of a request of the principal: its fingerprint is over the bytes that were received. It is nil when none was sent.
func KeyOf(ctx context.Context, principal, operation string, value *string) *idempotency.Key {
	kept, ok := ctx.Value(rememberedKey{}).(remembered)
	if value == nil || !ok {
		return nil
	}
	return &idempotency.Key{Principal: principal, Operation: operation, Value: *value, Path: kept.target, Body: kept.body}
}
