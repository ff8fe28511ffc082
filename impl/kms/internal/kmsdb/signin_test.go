package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/internal/store"
)

// waitEnd is when the sessions of these tests stop waiting.
var waitEnd = noon.Add(5 * time.Minute)

func waiting(sid, userID string) session.Family {
	f := family(sid, userID)
	f.Waits, f.ExpiresAt = true, waitEnd
	return f
}

func level() session.Level {
	return session.Level{ACR: "aal2", AMR: []string{"pwd", "otp"}, Factor: "totp", At: noon.Add(time.Minute)}
}

func (s suite) insertWaiting(sid, userID string) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.Sessions{}.InsertFamily(ctx, tx, waiting(sid, userID))
	})
}

func (s suite) completed(sid string, at time.Time) (f session.Family, done bool) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) (err error) {
		f, done, err = kmsdb.Sessions{}.Complete(ctx, tx, sid, level(), at, sessionEnd)
		return err
	})
	return f, done
}

// A session that waits does not count as one: it is neither listed, read nor refreshed, and no token with it is valid.
func TestSessions_thatWaitAreNone(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("usr_1", "ada"))
		s.insertWaiting("ses_1", "usr_1")
		_, found, err := kmsdb.Sessions{}.Family(s.Context(), s.q(), "ses_1", noon)
		require.NoError(s, err)
		require.False(s, found)
		all, err := kmsdb.Sessions{}.Families(s.Context(), s.q(), "usr_1", "", noon, 10)
		require.NoError(s, err)
		require.Empty(s, all)
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return kmsdb.Sessions{}.InsertToken(ctx, tx, []byte("h"), "ses_1", noon, sessionEnd)
		})
		require.False(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			_, used, err := kmsdb.Sessions{}.Use(ctx, tx, []byte("h"), nil, noon, noon)
			return used, err
		}))
		shown, known, err := kmsdb.Sessions{}.Shown(s.Context(), s.q(), []byte("h"), noon)
		require.NoError(s, err)
		require.True(s, known)
		require.False(s, shown.Live)
		require.False(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Standing{}.LiveSession(ctx, tx, "ses_1", "usr_1", noon)
		}))
	})
}

func TestStanding_locksAWaitingSessionForOneAlone(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("usr_1", "ada"))
		s.insertWaiting("ses_1", "usr_1")
		waits := func(userID string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return kmsdb.Standing{}.WaitingSession(ctx, tx, "ses_1", userID, at)
			})
		}
		require.True(s, waits("usr_1", waitEnd.Add(-time.Microsecond)))
		require.False(s, waits("usr_1", waitEnd))
		require.False(s, waits("usr_2", noon), "another user's")
		require.Equal(s, "exclusive", s.whatIsLocked("exclusive", "SELECT 1 FROM refresh_families", func(ctx context.Context, tx *store.Tx) error {
			_, err := kmsdb.Standing{}.WaitingSession(ctx, tx, "ses_1", "usr_1", noon)
			return err
		}))
		s.restoredAt(noon.Add(time.Second))
		require.False(s, waits("usr_1", noon), "from before a restore")
		s.exec("UPDATE restore_mark SET not_before = 0")
		_, done := s.completed("ses_1", noon)
		require.True(s, done)
		require.False(s, waits("usr_1", noon), "complete")
	})
}

func TestSessions_areCompletedOnceAndKeepTheirLevel(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("usr_1", "ada"))
		for _, sid := range []string{"ses_1", "ses_late", "ses_revoked", "ses_old"} {
			s.insertWaiting(sid, "usr_1")
		}
		s.insertFamily("ses_plain", "usr_1")
		f, done := s.completed("ses_1", noon)
		require.True(s, done)
		want := family("ses_1", "usr_1")
		want.Level = level()
		require.Equal(s, want, f)
		got, found, err := kmsdb.Sessions{}.Family(s.Context(), s.q(), "ses_1", waitEnd)
		require.NoError(s, err)
		require.True(s, found, "it lives on after the wait")
		require.Equal(s, want, got)
		_, done = s.completed("ses_1", noon)
		require.False(s, done, "once")
		_, done = s.completed("ses_late", waitEnd)
		require.False(s, done, "the wait is over")
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Sessions{}.Revoke(ctx, tx, "ses_revoked", noon, "test")
		}))
		_, done = s.completed("ses_revoked", noon)
		require.False(s, done, "revoked")
		_, done = s.completed("ses_plain", noon)
		require.False(s, done, "it never waited")
		_, done = s.completed("ses_none", noon)
		require.False(s, done)
		s.restoredAt(noon.Add(time.Second))
		_, done = s.completed("ses_old", noon)
		require.False(s, done, "from before a restore")
	})
}

// Expired waiting sessions are deleted by the next sweep, not after the seven days of a session.
func TestSweep_deletesWhatHasWaitedTooLong(t *testing.T) {
	each(t, func(s suite) {
		s.insertUser(ada("usr_1", "ada"))
		s.insertWaiting("ses_1", "usr_1")
		s.insertFamily("ses_2", "usr_1")
		s.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := kmsdb.Sessions{}.Sweep(ctx, tx, waitEnd.Add(time.Microsecond), time.Minute)
			return err
		})
		var left []string
		require.NoError(s, s.q().Select(s.Context(), &left, "SELECT sid FROM refresh_families"))
		require.Equal(s, []string{"ses_2"}, left)
	})
}

func TestRoles_keepPoliciesByVersion(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Roles{}
		p := authority.SecondFactor{Always: true, Factors: []string{"passkey", "totp"}, MaxAge: time.Hour}
		put := func(role string, p authority.SecondFactor, from int64) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return rows.PutSecondFactor(ctx, tx, role, p, from, noon)
			})
		}
		read := func() map[string]authority.SecondFactor {
			got, err := kmsdb.Standing{}.SecondFactors(s.Context(), s.q(), []string{"admin", "printer", "reader"})
			require.NoError(s, err)
			return got
		}
		require.Empty(s, read())
		none, err := rows.SecondFactors(s.Context(), s.q(), nil)
		require.NoError(s, err)
		require.Empty(s, none)
		require.True(s, put("admin", p, 0))
		require.False(s, put("admin", p, 0), "it is there meanwhile")
		require.True(s, put("printer", authority.SecondFactor{Always: true}, 0))
		p.Version = 1
		require.Equal(s, map[string]authority.SecondFactor{"admin": p, "printer": {Always: true, Version: 1}}, read())
		require.True(s, put("admin", authority.SecondFactor{MaxAge: time.Minute}, 1))
		require.False(s, put("admin", p, 1), "changed meanwhile")
		require.Equal(s, authority.SecondFactor{MaxAge: time.Minute, Version: 2}, read()["admin"])

		loosen := func(role string) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return rows.LoosenSecondFactor(ctx, tx, role, noon)
			})
		}
		require.True(s, loosen("admin"))
		require.Equal(s, authority.SecondFactor{Version: 3}, read()["admin"])
		require.False(s, loosen("admin"), "it asks for nothing")
		require.False(s, loosen("reader"), "it never did")
		require.True(s, s.insertRole(printing("printer")))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.Delete(ctx, tx, "printer") })
		require.NotContains(s, read(), "printer", "a policy goes with its role")
	})
}
