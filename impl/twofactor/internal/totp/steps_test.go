package totp

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSteps_holdWhatWasPutIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Steps
		put := map[int64]bool{}
		near := rapid.OneOf(rapid.Int64Range(-5, 30), rapid.Int64Range(59_000_000, 59_000_040), rapid.Int64Range(1<<40, 1<<40+3))
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			step := near.Draw(t, "step")
			var err error
			s, err = s.With(step, 0)
			require.NoError(t, err)
			put[step] = true
		}
		for _, from := range []int64{-6, 58_999_999, 1<<40 - 1} {
			for step := from; step < from+50; step++ {
				has, err := s.Has(step)
				require.NoError(t, err)
				require.Equal(t, put[step], has, step)
			}
		}
	})
}

func TestSteps_areShort(t *testing.T) {
	var s Steps
	var err error
	for step := range int64(5760) { // each for two days
		s, err = s.With(59_000_000+step, 0)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(s), 8)
}

// Old steps are dropped only when there are many, so that a clock that is ahead does not drop steps that are not old.
func TestSteps_forgetWhatIsOldWhenTheyAreMany(t *testing.T) {
	const now = 59_000_000
	var s Steps
	var err error
	for n := range int64(manyRuns) {
		s, err = s.With(now+2*n, 1<<50)
		require.NoError(t, err)
	}
	has, err := s.Has(now)
	require.NoError(t, err)
	require.True(t, has)
	s, err = s.With(now+2*manyRuns, now+20)
	require.NoError(t, err)
	for n := range int64(manyRuns + 1) {
		has, err := s.Has(now + 2*n)
		require.NoError(t, err)
		require.Equal(t, n >= 10, has, n)
	}
}

// FuzzSteps reads any bytes: they are refused, or are a set to which steps can be added.
func FuzzSteps(f *testing.F) {
	var s Steps
	for range 40 {
		s, _ = s.With(rand.Int64N(100), 0)
	}
	f.Add([]byte(s), int64(7))
	f.Add([]byte{0x80}, int64(0))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, int64(1))
	f.Fuzz(func(t *testing.T, stored []byte, step int64) {
		if step > 1<<60 || step < -1<<60 {
			return
		}
		with, err := Steps(stored).With(step, -1<<62)
		if err != nil {
			require.ErrorIs(t, err, ErrSteps)
			return
		}
		has, err := with.Has(step)
		require.NoError(t, err)
		require.True(t, has)
	})
}
