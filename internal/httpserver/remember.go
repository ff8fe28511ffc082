package httpserver

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/fountainai/fountain/internal/idempotency"
)

const keyHeader = "Idempotency-Key"

// remembered is the part of a request that must be equal in a repeat with the same Idempotency-Key.
type remembered struct {
	target string
	body   []byte
}

type rememberedKey struct{}

// Target returns path, query and precondition of a request: the same body with another precondition is another request. A fingerprint of it is stored
// as long as answers are: changing the form would refuse repeats of earlier requests.
func Target(r *http.Request) string { return precondition(r.URL.EscapedPath()+"?"+r.URL.RawQuery, r) }

// BareTarget is Target without the "?" when there is no query.
func BareTarget(r *http.Request) string { return precondition(r.URL.RequestURI(), r) }

func precondition(target string, r *http.Request) string {
	if match := r.Header.Get("If-Match"); match != "" {
		target += "\n" + match
	}
	return target
}

// Remember stores target and body of requests with an Idempotency-Key, for KeyOf; the body is in memory by then, and bounded by the contract.
func Remember(target func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return remember(target, next) }
}

func remember(target func(*http.Request) string, next http.Handler) http.Handler {
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
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), rememberedKey{}, remembered{target: target(r), body: body})))
	})
}

// KeyOf returns the idempotency key of a request of the principal; its fingerprint covers the bytes as received. It returns nil when no key was sent.
func KeyOf(ctx context.Context, principal, operation string, value *string) *idempotency.Key {
	kept, ok := ctx.Value(rememberedKey{}).(remembered)
	if value == nil || !ok {
		return nil
	}
	return &idempotency.Key{Principal: principal, Operation: operation, Value: *value, Path: kept.target, Body: kept.body}
}
