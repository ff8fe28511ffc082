package clock_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
)

func TestSystem_isUTC(t *testing.T) {
	before := time.Now()
	now := clock.System.Now()
	require.Equal(t, time.UTC, now.Location())
	require.False(t, now.Before(before.Add(-time.Second)))
}

func TestFake_movesOnlyWhenTold(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("CET", 3600))
	f := clock.NewFake(start)
	require.True(t, f.Now().Equal(start))
	require.Equal(t, time.UTC, f.Now().Location())

	f.Advance(90 * time.Second)
	require.Equal(t, 90*time.Second, f.Now().Sub(start))
	f.Advance(-time.Hour)
	require.True(t, f.Now().Before(start))
	f.Set(start)
	require.True(t, f.Now().Equal(start))
}

func TestElapsed_isMovedByNoSettingOfTheClock(t *testing.T) {
	f := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	f.Advance(time.Minute)
	f.Advance(-time.Hour)
	f.Set(f.Now().Add(24 * time.Hour))
	require.Equal(t, time.Minute, clock.Elapsed(f))

	before := clock.Elapsed(clock.System)
	require.GreaterOrEqual(t, clock.Elapsed(clock.System), before)
}
