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
	target string
	body   []byte
}

type rememberedKey struct{}

// Target is path, query and precondition of a request: the same bytes on another precondition are another request. It is stored, in a fingerprint, as
// long as answers are kept: a service whose form it is can't change it without refusing the repeats of requests from before.
func Target(r *http.Request) string { return precondition(r.URL.EscapedPath()+"?"+r.URL.RawQuery, r) }

// BareTarget is Target without a "?" where there is no query.
func BareTarget(r *http.Request) string { return precondition(r.URL.RequestURI(), r) }

func precondition(target string, r *http.Request) string {
	if match := r.Header.Get("If-Match"); match != "" {
		target += "\n" + match
	}
	return target
}

// Remember keeps target and bytes of requests that carry an Idempotency-Key, for KeyOf; the body is in memory by now and bounded by the contract.
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

// KeyOf returns the key of a request of the principal: its fingerprint is over the bytes that were received. It is nil when none was sent.
func KeyOf(ctx context.Context, principal, operation string, value *string) *idempotency.Key {
	kept, ok := ctx.Value(rememberedKey{}).(remembered)
	if value == nil || !ok {
		return nil
	}
	return &idempotency.Key{Principal: principal, Operation: operation, Value: *value, Path: kept.target, Body: kept.body}
}
