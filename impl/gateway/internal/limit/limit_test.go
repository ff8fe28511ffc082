package limit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func policy(quota, burst int) contract.Rate {
	return contract.Rate{Name: "per-subject", Key: "sub", Quota: quota, Window: time.Minute, Burst: burst, Cost: 1}
}

func TestTake_allowsTheBurstAndThenTheRate(t *testing.T) {
	l, p := New(), policy(60, 3)
	for i := range 3 {
		v := l.Take(p, "ada", start)
		require.True(t, v.Allowed)
		require.Equal(t, 2-i, v.Remaining)
	}
	v := l.Take(p, "ada", start)
	require.False(t, v.Allowed)
	require.Equal(t, time.Second, v.Retry)
	require.True(t, l.Take(p, "grace", start).Allowed, "another key has its own allowance")
	require.True(t, l.Take(p, "ada", start.Add(time.Second)).Allowed)
	require.False(t, l.Take(p, "ada", start.Add(time.Second)).Allowed)
}

func TestTake_neverAllowsMoreThanBurstPlusRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policy(rapid.IntRange(1, 600).Draw(t, "quota"), rapid.IntRange(1, 50).Draw(t, "burst"))
		l, now, allowed := New(), start, 0
		for range rapid.IntRange(1, 400).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2_000_000).Draw(t, "gap")) * time.Microsecond)
			if l.Take(p, "k", now).Allowed {
				allowed++
			}
		}
		most := float64(p.Burst) + now.Sub(start).Seconds()*float64(p.Quota)/60 + 1
		if float64(allowed) > most {
			t.Fatalf("%d allowed, at most %.1f may be", allowed, most)
		}
	})
}

// A clock that is set back makes no key wait for the hour to come again, and gives none a new allowance.
func TestTake_goesOnWhenTheClockIsSetBack(t *testing.T) {
	l, p := New(), policy(60, 3)
	for range 3 {
		require.True(t, l.Take(p, "ada", start).Allowed)
	}
	for _, at := range []time.Time{start.Add(-time.Hour), start.Add(-2 * time.Hour), start.Add(-time.Hour * 24 * 365)} {
		v := l.Take(p, "ada", at)
		require.False(t, v.Allowed)
		require.Equal(t, time.Second, v.Retry)
		require.True(t, l.Take(p, "ada", at.Add(time.Second)).Allowed)
		require.False(t, l.Take(p, "ada", at.Add(time.Second/2)).Allowed, "requests that overtake each other move nothing")
	}
}

func TestTake_concurrentRequestsShareOneAllowance(t *testing.T) {
	l, p := New(), policy(60, 10)
	var wg sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 200 {
		wg.Go(func() {
			if l.Take(p, "ada", start).Allowed {
				mu.Lock()
				allowed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 10, allowed)
}

func TestTake_aFloodOfKeysIsBoundedAndLimitedAsOne(t *testing.T) {
	l, p := New(), policy(1, 1)
	refused := 0
	for i := range shards*maxKeys + 100_000 {
		if !l.Take(p, fmt.Sprint(i), start).Allowed {
			refused++
		}
	}
	require.Greater(t, refused, 50_000)
	for i := range l.shards {
		require.LessOrEqual(t, len(l.shards[i].used), maxKeys+1)
	}
	require.True(t, l.Take(p, "late", start.Add(time.Hour)).Allowed, "memory comes back with time")
}

func TestRefusal_namesTheLimitAndTheWait(t *testing.T) {
	l, p := New(), policy(60, 1)
	l.Take(p, "ada", start)
	v := l.Take(p, "ada", start)
	e := problem.From(Refusal([]Verdict{v}, v))
	require.Equal(t, 429, e.Status())
	require.Equal(t, `"per-subject";r=0;t=1`, e.Header.Get("RateLimit"))
	require.Equal(t, `"per-subject";q=1;w=1`, e.Header.Get("RateLimit-Policy"))
	require.Equal(t, "1", e.Header.Get("Retry-After"))
	require.Equal(t, `Too many requests of this caller: the limit "per-subject" allows 1 at once, and 60 in 1m0s.`, e.Detail)
	v.Policy.Key, v.Policy.Cost, v.Policy.Burst = "ip", 2, 10
	require.Equal(t, `Too many requests from this address: the limit "per-subject" allows 5 at once, and 30 in 1m0s. All who come through one proxy count as one `+
		`address, unless the gateway trusts that proxy.`, problem.From(Refusal([]Verdict{v}, v)).Detail)
}
