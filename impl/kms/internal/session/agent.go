package session

import (
	"context"
	"strings"
)

// maxAgent is how much is kept of what a client calls itself, in bytes.
const maxAgent = 256

type agentKey struct{}

// From returns a context for a sign-in by a client that calls itself so in User-Agent (RFC 9110, section 10.1.5). People tell their sessions apart by it;
// nothing is decided by it. What is not printable ASCII is left out, and what is longer than 256 bytes is cut.
func From(ctx context.Context, userAgent string) context.Context {
	kept := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, userAgent)
	return context.WithValue(ctx, agentKey{}, kept[:min(len(kept), maxAgent)])
}

// agent is what From was given, or "".
func agent(ctx context.Context) string {
	kept, _ := ctx.Value(agentKey{}).(string)
	return kept
}
