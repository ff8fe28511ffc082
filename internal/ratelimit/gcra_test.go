package ratelimit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Every branch of the algorithm at its limits, for one request a second with a burst of three.
func TestDecide_eachBranch(t *testing.T) {
	l, now, second := NewLimit(60, time.Minute, 3, 1), time.Hour, time.Second
	for name, c := range map[string]struct {
		tat, increment time.Duration
		want           Decision
	}{
		"a key that was never seen":    {0, second, Decision{true, 2, second, 0, now + second}},
		"idle until this moment":       {now, second, Decision{true, 2, second, 0, now + second}},
		"the last unit":                {now + 2*second, second, Decision{true, 0, 3 * second, 0, now + 3*second}},
		"a microsecond too early":      {now + 2*second + time.Microsecond, second, Decision{false, 0, 2*second + time.Microsecond, time.Microsecond, now + 2*second + time.Microsecond}},
		"all used":                     {now + 3*second, second, Decision{false, 0, 3 * second, second, now + 3*second}},
		"a clock that was ahead":       {now + time.Hour, second, Decision{false, 0, 3 * second, second, now + 3*second}},
		"two units":                    {now + second, 2 * second, Decision{true, 0, 3 * second, 0, now + 3*second}},
		"only asked":                   {now + second, 0, Decision{true, 2, second, 0, now + second}},
		"only asked, and all is used":  {now + 3*second, 0, Decision{true, 0, 3 * second, 0, now + 3*second}},
		"only asked, a key never seen": {0, 0, Decision{true, 3, 0, 0, now}},
	} {
		require.Equal(t, c.want, decide(l, c.tat, now, c.increment), name)
	}
}

func TestNewLimit_isNeverOneThatRefusesAllOrNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLimit(rapid.IntRange(-1, 1<<40).Draw(t, "quota"), time.Duration(rapid.Int64Range(0, int64(maxCapacity)).Draw(t, "window")),
			rapid.IntRange(-1, 1<<40).Draw(t, "burst"), rapid.IntRange(-1, 1<<40).Draw(t, "cost"))
		var tat time.Duration
		d := decide(l, tat, time.Hour, l.increment())
		require.True(t, d.Allowed)
		require.LessOrEqual(t, l.Window(), maxCapacity)
		if l.burst/l.cost > 1000 {
			return // takes long to count
		}
		for range l.burst/l.cost - 1 {
			d = decide(l, d.tat, time.Hour, l.increment())
			require.True(t, d.Allowed)
		}
		require.Zero(t, d.Remaining)
		d = decide(l, d.tat, time.Hour, l.increment())
		require.False(t, d.Allowed)
		require.Positive(t, d.Retry)
	})
}

// In no interval are more requests admitted than the burst and what was replenished in that interval. A request that waits for Retry is admitted
// then, and not a microsecond earlier.
func TestDecide_admitsTheBurstAndThenTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLimit(rapid.IntRange(1, 600).Draw(t, "quota"), time.Minute, rapid.IntRange(1, 50).Draw(t, "burst"), rapid.IntRange(1, 4).Draw(t, "cost"))
		var tat, now time.Duration
		var admitted []time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now += time.Duration(rapid.IntRange(0, 2_000_000).Draw(t, "gap")) * time.Microsecond
			d := decide(l, tat, now, l.increment())
			if !d.Allowed {
				require.True(t, decide(l, tat, now+d.Retry, l.increment()).Allowed)
				require.False(t, decide(l, tat, now+d.Retry-time.Microsecond, l.increment()).Allowed)
				continue
			}
			tat, admitted = d.tat, append(admitted, now)
		}
		for from := range admitted {
			for to := from; to < len(admitted); to++ {
				units := l.burst + int((admitted[to]-admitted[from])/l.interval)
				require.LessOrEqual(t, (to-from+1)*l.cost, units)
			}
		}
	})
}
