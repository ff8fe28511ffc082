package totp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The window of a right clock and the one moved by the drift are accepted, and nothing else.
func TestMatch_acceptsTheWindowOfARightClockAndThatOfTheDrift(t *testing.T) {
	seed, now := []byte("12345678901234567890"), time.Unix(1_800_000_000, 0)
	for drift, want := range map[int64][]int64{0: {-1, 0}, 1: {-1, 0, 1}, -1: {-2, -1, 0}, 2: {-1, 0, 1, 2}, -2: {-3, -2, -1, 0}, 9: {-1, 0, 8, 9}} {
		var accepted []int64
		for offset := int64(-12); offset <= 12; offset++ {
			code, err := Code(seed, Default, Default.Step(now)+offset)
			require.NoError(t, err)
			step, ok, err := Match(seed, Default, now, Clock{Drift: drift}, code)
			require.NoError(t, err)
			if ok {
				require.Equal(t, Default.Step(now)+offset, step)
				accepted = append(accepted, offset)
			}
		}
		require.Equal(t, want, accepted, "drift %d", drift)
	}
}

func TestClock_learnsFromTwoOfTheSameOffsetInARow(t *testing.T) {
	var c Clock
	for _, one := range []struct{ offset, drift int64 }{
		{0, 0}, {-1, 0}, {0, 0}, {-1, 0}, {-1, -1}, // typed late twice
		{-2, -1}, {-2, -2}, {-3, -2}, {-3, -2}, // no further by itself
		{0, -2}, {0, -1}, {0, 0}, {0, 0}, // and back, a step at a time
	} {
		c = c.Learn(one.offset)
		require.Equal(t, one.drift, c.Drift)
		require.Equal(t, one.offset, c.Offset)
	}
	far := Clock{Drift: 9, Offset: 8}
	require.Equal(t, int64(8), far.Learn(8).Drift, "what a resynchronisation set moves too")
	require.Equal(t, int64(9), far.Learn(9).Drift)
}
