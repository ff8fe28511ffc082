package limit

import (
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/ratelimit"
)

// The holder of one IPv6 network has 2^64 addresses, so a limit per single address would limit no one.
func TestPreauth_countsAnIPv6NetworkAsOne(t *testing.T) {
	op := &contract.Operation{ID: "loginUser", Word: "kms"}
	op.Policy.Rate = []contract.Rate{{Name: "login-per-ip", Key: "ip", Preauth: true, Quota: 60, Window: 60e9, Burst: 2, Cost: 1}}
	steps := NewSteps(limiter(t))
	from := func(ip string) error {
		return steps.Preauth(&httpserver.Exchange{Writer: httptest.NewRecorder(), Request: httptest.NewRequest("GET", "/", nil), Operation: op, ClientIP: netip.MustParseAddr(ip)})
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

	other := contract.Operation{ID: op.ID, Policy: op.Policy}
	other.Word = "search"
	require.NoError(t, steps.Preauth(&httpserver.Exchange{Writer: httptest.NewRecorder(), Request: httptest.NewRequest("GET", "/", nil), Operation: &other, ClientIP: netip.MustParseAddr("192.0.2.1")}),
		"a limit of the same name of another service")
}

// Each key counts what it names, and a request takes its cost.
func TestSubject_countsByItsKeyAndCost(t *testing.T) {
	ada, program := &auth.Principal{Subject: "usr_1", ClientID: "key_1"}, &auth.Principal{Subject: "usr_1", ClientID: "key_2"}
	bob := &auth.Principal{Subject: "usr_2", ClientID: "key_1"}
	for key, want := range map[string]struct{ program, bob, other bool }{ // who may go on when ada has used up the limit
		"sub": {false, true, false}, "client": {true, false, false}, "operation": {false, false, true}, "ip": {false, false, false},
	} {
		steps := NewSteps(limiter(t))
		ask := func(operation string, p *auth.Principal) error {
			op := &contract.Operation{ID: operation, Word: "sample"}
			op.Policy.Rate = []contract.Rate{{Name: "costly", Key: key, Quota: 60, Window: 60e9, Burst: 7, Cost: 3}}
			return steps.Subject(&httpserver.Exchange{
				Writer: httptest.NewRecorder(), Request: httptest.NewRequest("GET", "/", nil), Operation: op, ClientIP: netip.MustParseAddr("192.0.2.1"), Principal: p,
			})
		}
		require.NoError(t, ask("listThings", ada), key)
		require.NoError(t, ask("listThings", ada), key)
		require.ErrorIs(t, ask("listThings", ada), problem.RateLimited, "%s: what is left is less than a request costs", key)
		require.Equal(t, want.program, ask("listThings", program) == nil, "%s: another client of the subject", key)
		require.Equal(t, want.bob, ask("listThings", bob) == nil, "%s: another subject of the client", key)
		require.Equal(t, want.other, ask("getThing", ada) == nil, "%s: another operation", key)
	}
}

// An operation that declares a limit with the common one's name has it instead of the common one: it takes nothing from other operations, and they
// take nothing from it. Operations that declare the same limit share it, even with different costs.
func TestSubject_aLimitInPlaceOfTheCommonOneIsItsOwn(t *testing.T) {
	steps := NewSteps(limiter(t))
	common := contract.Rate{Name: "per-subject", Key: "sub", Quota: 1200, Window: time.Minute, Burst: 4, Cost: 1}
	narrow := contract.Rate{Name: "per-subject", Key: "sub", Quota: 3, Window: time.Minute, Burst: 1, Cost: 1}
	costly := common
	costly.Cost = 2
	ask := func(operation string, rate contract.Rate) error {
		op := &contract.Operation{ID: operation, Word: "todos"}
		op.Policy.Rate = []contract.Rate{rate}
		return steps.Subject(&httpserver.Exchange{
			Writer: httptest.NewRecorder(), Request: httptest.NewRequest("GET", "/", nil), Operation: op, Principal: &auth.Principal{Subject: "usr_1"},
		})
	}
	require.NoError(t, ask("exportAll", narrow))
	require.ErrorIs(t, ask("exportAll", narrow), problem.RateLimited)
	require.ErrorIs(t, ask("exportDone", narrow), problem.RateLimited, "another operation with the same limit")
	require.NoError(t, ask("listTodos", common), "the narrow limit took nothing of the common one")
	require.NoError(t, ask("listTodos", costly))
	require.NoError(t, ask("getTodo", common))
	require.ErrorIs(t, ask("getTodo", common), problem.RateLimited, "what costs more was taken of the same limit")
}

// Both limits are reported, also without a refusal, and the quota is one that callers can actually have.
func TestSteps_tellHowTheCallerStands(t *testing.T) {
	op := &contract.Operation{ID: "listThings", Word: "sample"}
	op.Policy.Rate = []contract.Rate{
		{Name: "per-ip", Key: "ip", Preauth: true, Quota: 60_000, Window: 60e9, Burst: 1000, Cost: 1},
		{Name: "per-subject", Key: "sub", Quota: 10, Window: 60e9, Burst: 2, Cost: 1},
	}
	steps := NewSteps(limiter(t))
	x := &httpserver.Exchange{Writer: httptest.NewRecorder(), Request: httptest.NewRequest("GET", "/", nil), Operation: op, ClientIP: netip.MustParseAddr("192.0.2.1"), Principal: &auth.Principal{Subject: "usr_1"}}
	require.NoError(t, steps.Preauth(x))
	require.NoError(t, steps.Subject(x))
	require.Equal(t, `"per-ip";r=999;t=1, "per-subject";r=1;t=6`, x.Writer.Header().Get("RateLimit"))
	require.Equal(t, `"per-ip";q=1000;w=1, "per-subject";q=2;w=12`, x.Writer.Header().Get("RateLimit-Policy"))
}

// The work of one station for a request: two policies by address of which one applies, reported in the headers.
func BenchmarkPreauth(b *testing.B) {
	op := &contract.Operation{ID: "listThings", Word: "sample"}
	op.Policy.Rate = []contract.Rate{
		{Name: "per-ip", Key: "ip", Preauth: true, Quota: 60_000_000, Window: 60e9, Burst: 1_000_000, Cost: 1},
		{Name: "per-subject", Key: "sub", Quota: 10, Window: 60e9, Burst: 2, Cost: 1},
	}
	l, err := ratelimit.New(ratelimit.Options{Clock: clock.System})
	require.NoError(b, err)
	steps, w := NewSteps(l), httptest.NewRecorder()
	x := &httpserver.Exchange{Writer: w, Request: httptest.NewRequest("GET", "/", nil), Operation: op, ClientIP: netip.MustParseAddr("192.0.2.1")}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.Header())
		if err := steps.Preauth(x); err != nil {
			b.Fatal(err)
		}
	}
}
