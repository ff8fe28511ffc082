// Package requestid stores the ID of a request and the address of its client in the context, for logs, problems and audit events.
package requestid

import (
	"context"
	"net/netip"
)

// Key is the context key of the request's ID, a *string.
type Key struct{}

// With returns a context with the request's ID, "req_" and a ULID.
func With(ctx context.Context, id string) context.Context { return context.WithValue(ctx, Key{}, &id) }

// From returns the request's ID, or "" outside a request.
func From(ctx context.Context) string {
	if id, _ := ctx.Value(Key{}).(*string); id != nil {
		return *id
	}
	return ""
}

// ClientKey is the context key of the client's address, a netip.Addr.
type ClientKey struct{}

// Client returns the address of the request's client, or "" outside a request.
func Client(ctx context.Context) string {
	if address, _ := ctx.Value(ClientKey{}).(netip.Addr); address.IsValid() {
		return address.String()
	}
	return ""
}
