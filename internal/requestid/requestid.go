// Package requestid keeps the id of a request and the address of its client in its context, where logs, problems and audit events find them.
package requestid

import (
	"context"
	"net/netip"
)

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

// ClientKey is under which a context keeps the address of the request's client, as a netip.Addr.
type ClientKey struct{}

// Client returns the address of the request's client, or "" outside a request.
func Client(ctx context.Context) string {
	if address, _ := ctx.Value(ClientKey{}).(netip.Addr); address.IsValid() {
		return address.String()
	}
	return ""
}
