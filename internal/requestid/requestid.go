// Package requestid keeps the id of a request in its context, where logs, problems and audit events find it.
package requestid

import "context"

// Key is under which a context keeps the request's id, as a *string.
type Key struct{}

// With keeps the request's id, "req_" and a ULID.
func With(ctx context.Context, id string) context.Context { return context.WithValue(ctx, Key{}, &id) }

// From returns the request's id, or "" outside a request.
func From(ctx context.Context) string {
	if id, _ := ctx.Value(Key{}).(*string); id != nil {
		return *id
	}
	return ""
}
