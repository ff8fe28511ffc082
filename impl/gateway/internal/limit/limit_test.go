package limit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/ratelimit"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func policy(quota, burst int) contract.Rate {
	return contract.Rate{Name: "per-subject", Key: "sub", Quota: quota, Window: time.Minute, Burst: burst, Cost: 1}
}

func limiter(t testing.TB) *ratelimit.Limiter {
	l, err := ratelimit.New(ratelimit.Options{Clock: clock.NewFake(start)})
	require.NoError(t, err)
	return l
}

// refused returns the refusal of a request under policies with exhausted bursts.
func refused(t testing.TB, policies ...*contract.Rate) error {
	l := limiter(t)
	counts := make([]ratelimit.Count, len(policies))
	for i, p := range policies {
		counts[i] = ratelimit.Count{Name: p.Name, Key: ratelimit.NewKey(p.Name), Limit: limitOf(p)}
	}
	for l.Take(t.Context(), counts) {
	}
	return refusal(counts, policies)
}

func TestRefusal_namesTheLimitAndTheWait(t *testing.T) {
	p := policy(60, 1)
	e := problem.From(refused(t, &p))
	require.Equal(t, 429, e.Status())
	require.Equal(t, `"per-subject";r=0;t=1`, e.Header.Get("RateLimit"))
	require.Equal(t, `"per-subject";q=1;w=1`, e.Header.Get("RateLimit-Policy"))
	require.Equal(t, "1", e.Header.Get("Retry-After"))
	require.Equal(t, `Too many requests of this caller: the limit "per-subject" allows 1 at once, and 60 in 1m0s.`, e.Detail)
	p.Key, p.Cost, p.Burst = "ip", 2, 10
	require.Equal(t, `Too many requests from this address: the limit "per-subject" allows 5 at once, and 30 in 1m0s. All who come through one proxy count as one `+
		`address, unless the gateway trusts that proxy.`, problem.From(refused(t, &p)).Detail)
}

// If several limits refuse, the one with the longest wait is named, and all are reported.
func TestRefusal_namesTheLongestWaitOfAll(t *testing.T) {
	short, long := policy(60, 1), policy(6, 1)
	long.Name = "per-hour"
	e := problem.From(refused(t, &short, &long))
	require.Equal(t, "10", e.Header.Get("Retry-After"))
	require.Contains(t, e.Detail, `"per-hour"`)
	require.Equal(t, `"per-subject";r=0;t=1, "per-hour";r=0;t=10`, e.Header.Get("RateLimit"))
	require.Equal(t, `"per-subject";q=1;w=1, "per-hour";q=1;w=10`, e.Header.Get("RateLimit-Policy"))
}

func BenchmarkHeaders(b *testing.B) {
	p := policy(60_000, 1000)
	count := ratelimit.Count{Name: p.Name, Key: ratelimit.NewKey("ada"), Limit: limitOf(&p)}
	counts := []ratelimit.Count{count, count}
	limiter(b).Take(b.Context(), counts)
	b.ReportAllocs()
	for b.Loop() {
		headers("", "", counts)
	}
}
