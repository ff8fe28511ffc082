package limit

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/exchange"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Whoever has one IPv6 address has 2^64 of them: a limit by address that counted each would limit nobody.
func TestPreauth_countsAnIPv6NetworkAsOne(t *testing.T) {
	op := &contract.Operation{ID: "loginUser", Word: "kms"}
	op.Policy.Rate = []contract.Rate{{Name: "login-per-ip", Key: "ip", Preauth: true, Quota: 60, Window: 60e9, Burst: 2, Cost: 1}}
	steps := NewSteps(clock.NewFake(start))
	from := func(ip string) error {
		return steps.Preauth(&exchange.Exchange{Operation: op, ClientIP: netip.MustParseAddr(ip)})
	}
	require.NoError(t, from("2001:db8:1:2::1"))
	require.NoError(t, from("2001:db8:1:2:ffff:ffff:ffff:ffff"))
	require.ErrorIs(t, from("2001:db8:1:2:a::b"), problem.RateLimited)
	require.NoError(t, from("2001:db8:1:3::1"), "the network beside it is somebody else")

	require.NoError(t, from("fe80::1%eth0"))
	require.NoError(t, from("fe80::2%eth1"))
	require.ErrorIs(t, from("fe80::3"), problem.RateLimited, "a zone makes no new address")

	require.NoError(t, from("192.0.2.1"))
	require.NoError(t, from("192.0.2.1"))
	require.ErrorIs(t, from("::ffff:192.0.2.1"), problem.RateLimited, "one address in two spellings")
	require.NoError(t, from("192.0.2.2"))
}
