package forward

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A service gets exactly one X-Forwarded-For, X-Request-Id and so on, set by the gateway, even if its contract declares such a header.
func TestWithDeclared_leavesOutWhatTheGatewayWrites(t *testing.T) {
	names := withDeclared([]string{"X-Request-Id", "If-Match", "X-Forwarded-For", "Accept-Language", "X-Request-Timeout", "Accept-Encoding", "Cookie"})
	require.Equal(t, []string{"Accept", "Accept-Language", "Authorization", "Content-Type", "If-Match", "Traceparent", "Tracestate", "User-Agent"}, names)
}
