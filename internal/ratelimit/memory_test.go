package ratelimit

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
)

func inMemory(t testing.TB, c clock.Clock) *Limiter {
	l, err := New(Options{Clock: c})
	require.NoError(t, err)
	return l
}

// one takes a request with a single limit.
func one(l *Limiter, key string, limit Limit) Decision {
	counts := []Count{{Name: "n", Key: NewKey(key), Limit: limit}}
	l.Take(context.Background(), counts)
	return counts[0].Decision
}

func TestTake_allowsTheBurstAndThenTheRate(t *testing.T) {
	now := clock.NewFake(time.Now())
	l, limit := inMemory(t, now), NewLimit(60, time.Minute, 3, 1)
	for i := range 3 {
		require.Equal(t, 2-i, one(l, "ada", limit).Remaining)
	}
	require.Equal(t, time.Second, one(l, "ada", limit).Retry)
	require.True(t, one(l, "grace", limit).Allowed, "another key has its own allowance")
	now.Advance(time.Second)
	require.True(t, one(l, "ada", limit).Allowed)
	require.False(t, one(l, "ada", limit).Allowed)
}

// When the wall clock is set, no key has to wait for an earlier time to come again, and none gets a new allowance.
func TestTake_doesNotHeedTheWallClock(t *testing.T) {
	now := clock.NewFake(time.Now())
	l, limit := inMemory(t, now), NewLimit(60, time.Minute, 1, 1)
	require.True(t, one(l, "ada", limit).Allowed)
	for _, to := range []time.Duration{-time.Hour, 365 * 24 * time.Hour} {
		now.Set(now.Now().Add(to))
		require.Equal(t, time.Second, one(l, "ada", limit).Retry)
	}
}

// A request that one limit refuses uses nothing of the others, and its answer has the state of all limits.
func TestTake_takesOfAllLimitsOrOfNone(t *testing.T) {
	l := inMemory(t, clock.NewFake(time.Now()))
	wide := Count{Name: "wide", Key: NewKey("wide"), Limit: NewLimit(60, time.Minute, 10, 1)}
	narrow := Count{Name: "narrow", Key: NewKey("narrow"), Limit: NewLimit(60, time.Minute, 1, 1)}
	require.True(t, l.Take(t.Context(), []Count{wide, narrow}))
	for range 5 {
		got := []Count{wide, narrow}
		require.False(t, l.Take(t.Context(), got))
		require.True(t, got[0].Allowed)
		require.Equal(t, 9, got[0].Remaining)
		require.Equal(t, time.Second, got[0].Reset)
		require.Equal(t, time.Second, got[1].Retry)
	}
	got := []Count{wide}
	require.True(t, l.Take(t.Context(), got))
	require.Equal(t, 8, got[0].Remaining)
}

func TestTake_concurrentRequestsShareOneAllowance(t *testing.T) {
	l, limit := inMemory(t, clock.NewFake(time.Now())), NewLimit(60, time.Minute, 100, 1)
	var allowed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				counts := make([]Count, 4) // several shards, in any order
				for i, j := range rand.Perm(4) {
					counts[i] = Count{Name: "n", Key: NewKey(strconv.Itoa(j)), Limit: limit}
				}
				if l.Take(t.Context(), counts) {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 100, allowed.Load())
}

// A flood of a million addresses uses no more memory than maxKeys allows, and the addresses beyond that are limited as one. New keys are counted
// separately again when the old ones have their allowance back.
func TestTake_aMillionAddressesAreBoundedAndLimitedAsOne(t *testing.T) {
	now := clock.NewFake(time.Now())
	l, limit := inMemory(t, now), NewLimit(1, time.Minute, 1, 1)
	before := heap()
	refused := 0
	for i := range uint32(1_000_000) {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if !one(l, address.String(), limit).Allowed {
			refused++
		}
	}
	held := heap() - before
	t.Logf("%.1f MiB for 1,000,000 addresses", float64(held)/(1<<20))
	require.Less(t, held, int64(32<<20), "the bound that maxKeys documents")
	require.GreaterOrEqual(t, refused, 1_000_000-shards*(maxKeys+1))
	keys := 0
	for i := range l.memory.shards {
		keys += len(l.memory.shards[i].tats)
	}
	require.LessOrEqual(t, keys, shards*(maxKeys+1))

	now.Advance(time.Hour)
	for i := range 1000 {
		require.True(t, one(l, "late "+strconv.Itoa(i), limit).Allowed)
	}
	runtime.KeepAlive(l)
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestNewKey_isAnotherForOtherParts(t *testing.T) {
	require.Equal(t, NewKey("a", "b"), NewKey("a", "b"))
	require.NotEqual(t, NewKey("a", "bc"), NewKey("ab", "c"))
	require.NotEqual(t, NewKey("a"), NewKey("a", ""))
}

func BenchmarkTake_inMemory(b *testing.B) {
	l, limit := inMemory(b, clock.System), NewLimit(60_000_000, time.Minute, 1_000_000, 1)
	counts := make([]Count, 1)
	b.ReportAllocs()
	for b.Loop() {
		counts[0] = Count{Name: "per-subject", Key: NewKey("per-subject", "sequence", "usr_01ARZ3NDEKTSV4RRFFQ69G5FAV"), Limit: limit}
		l.Take(b.Context(), counts)
	}
}
