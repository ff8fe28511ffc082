package forward

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A service gets one X-Forwarded-For, one X-Request-Id and so on, which the gateway has written: also where its contract declares such a header.
func TestWithDeclared_leavesOutWhatTheGatewayWrites(t *testing.T) {
	names := withDeclared([]string{"X-Request-Id", "If-Match", "X-Forwarded-For", "Accept-Language", "X-Request-Timeout", "Accept-Encoding", "Cookie"})
	require.Equal(t, []string{"Accept", "Accept-Language", "Authorization", "Content-Type", "If-Match", "Traceparent", "Tracestate", "User-Agent"}, names)
}
