package session

import (
	"context"
	"strings"
)

// maxAgent is how much of a client's User-Agent is kept, in bytes.
const maxAgent = 256

type agentKey struct{}

// From returns a context with the client's User-Agent (RFC 9110, section 10.1.5) for a sign-in. People tell their sessions apart by it; no decision
// depends on it. Characters other than printable ASCII are dropped, and the rest is cut to 256 bytes.
func From(ctx context.Context, userAgent string) context.Context {
	kept := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, userAgent)
	return context.WithValue(ctx, agentKey{}, kept[:min(len(kept), maxAgent)])
}

// agent returns the User-Agent that From stored, or "".
func agent(ctx context.Context) string {
	kept, _ := ctx.Value(agentKey{}).(string)
	return kept
}
