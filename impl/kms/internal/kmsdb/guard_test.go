package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

const freeAttempts = 2

// locks are the lock durations in the tests after the free attempts.
var locks = []time.Duration{30 * time.Second, time.Minute, 15 * time.Minute}

func admitting(name string, at time.Time) func(ctx context.Context, tx *store.Tx) (bool, error) {
	return func(ctx context.Context, tx *store.Tx) (bool, error) {
		return kmsdb.Sessions{}.Admit(ctx, tx, []byte(name), at, freeAttempts, locks)
	}
}

func (s suite) admitted(name string, at time.Time) bool {
	s.Helper()
	return s.did(admitting(name, at))
}

// The first attempt beyond the limit is checked, and locks. The next one is checked when the lock is over, not a microsecond before.
func TestAdmit_locksLongerWithEachFurtherFailure(t *testing.T) {
	each(t, func(s suite) {
		at := noon
		for range freeAttempts {
			require.True(s, s.admitted("ada", at))
		}
		for _, lock := range append(locks, locks[len(locks)-1]) { // the last one holds for all further
			require.True(s, s.admitted("ada", at))
			require.False(s, s.admitted("ada", at))
			require.False(s, s.admitted("ada", at.Add(lock-time.Microsecond)))
			at = at.Add(lock)
		}
		require.True(s, s.admitted("bob", noon), "another name has its own count")
	})
}

// Refused attempts do not count, so that others can't prolong a user's lock.
func TestAdmit_countsNothingWhileLocked(t *testing.T) {
	each(t, func(s suite) {
		for range freeAttempts + 1 {
			require.True(s, s.admitted("ada", noon))
		}
		for range 10 {
			require.False(s, s.admitted("ada", noon.Add(time.Second)))
		}
		require.EqualValues(s, freeAttempts+1, s.number("SELECT failures FROM login_guard"))
		require.EqualValues(s, noon.Add(locks[0]).UnixMicro(), s.number("SELECT locked_until FROM login_guard"))
	})
}

func TestAdmit_judgesNoMoreOfManyAtOnceThanTheLimit(t *testing.T) {
	each(t, func(s suite) {
		require.Equal(s, freeAttempts+1, s.winners(admitting("ada", noon)))
	})
}

// A lock that ends later than the longest lock was set by a clock that was ahead.
func TestAdmit_isNotLockedByAClockThatWasAhead(t *testing.T) {
	each(t, func(s suite) {
		longest := locks[len(locks)-1]
		for range freeAttempts + 1 {
			require.True(s, s.admitted("ada", noon))
		}
		end := func(at time.Time) { s.exec("UPDATE login_guard SET locked_until = ?", at.UnixMicro()) }
		end(noon.Add(longest + clock.Slack))
		require.False(s, s.admitted("ada", noon))
		end(noon.Add(longest + clock.Slack + time.Microsecond))
		require.True(s, s.admitted("ada", noon))
	})
}

func TestForgive_beginsTheCountAnew(t *testing.T) {
	each(t, func(s suite) {
		forgive := func(name string) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return kmsdb.Sessions{}.Forgive(ctx, tx, []byte(name), noon)
			})
		}
		for _, name := range []string{"ada", "bob"} {
			for range freeAttempts + 1 {
				require.True(s, s.admitted(name, noon))
			}
		}
		forgive("ada")
		forgive("nobody")
		for range freeAttempts + 1 {
			require.True(s, s.admitted("ada", noon))
		}
		require.False(s, s.admitted("ada", noon))
		require.False(s, s.admitted("bob", noon), "another name stays locked")
	})
}
