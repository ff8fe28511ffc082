package kmsdb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
)

const tokenLife = 12 * time.Hour

// insertSession stores ada's session ses_1 with refresh tokens, given by their hashes.
func (s suite) insertSession(hashes ...string) {
	s.Helper()
	s.insertUser(ada("usr_1", "ada"))
	s.insertFamily("ses_1", "usr_1")
	for _, hash := range hashes {
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return kmsdb.Sessions{}.InsertToken(ctx, tx, []byte(hash), "ses_1", noon, noon.Add(tokenLife))
		})
	}
}

// use uses a refresh token, whose successor is returned again for ten seconds.
func (s suite) use(hash string, at time.Time) (f session.Family, used bool) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) (err error) {
		f, used, err = kmsdb.Sessions{}.Use(ctx, tx, []byte(hash), []byte("successor of "+hash), at, at.Add(10*time.Second))
		return err
	})
	return f, used
}

func (s suite) shown(hash string, at time.Time) (session.Shown, bool) {
	s.Helper()
	shown, known, err := kmsdb.Sessions{}.Shown(s.Context(), s.q(), []byte(hash), at)
	require.NoError(s, err)
	return shown, known
}

func TestRefreshTokens_areOfOneSession(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Sessions{}
		insert := func(hash, sid string) func(ctx context.Context, tx *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error {
				return rows.InsertToken(ctx, tx, []byte(hash), sid, noon, noon.Add(tokenLife))
			}
		}
		s.insertSession("a")
		_ = s.fails(insert("a", "ses_1"))
		_ = s.fails(insert("b", "ses_2"))
		holder, found, err := rows.Holder(s.Context(), s.q(), []byte("a"))
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, family("ses_1", "usr_1"), holder)
		_, found, err = rows.Holder(s.Context(), s.q(), []byte("b"))
		require.NoError(s, err)
		require.False(s, found)
	})
}

func TestUse_takesATokenOnceAndKeepsItsSuccessor(t *testing.T) {
	each(t, func(s suite) {
		s.insertSession("a")
		shown, known := s.shown("a", noon)
		require.True(s, known)
		require.Equal(s, session.Shown{FamilyID: "ses_1", Live: true}, shown, "not used yet")
		f, used := s.use("a", noon)
		require.True(s, used)
		require.Equal(s, family("ses_1", "usr_1"), f)
		_, used = s.use("a", noon)
		require.False(s, used)
		shown, _ = s.shown("a", noon)
		require.Equal(s, session.Shown{FamilyID: "ses_1", Live: true, Successor: []byte("successor of a"), SuccessorUntil: noon.Add(10 * time.Second)}, shown)
		_, known = s.shown("unknown", noon)
		require.False(s, known)
	})
}

// A token is valid until the microsecond at which it or its session expires, and only while its user is active.
func TestUse_endsWithTheTokenTheSessionAndTheUser(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(s suite)
		at     time.Time
		live   bool // of the session, as Shown says
		before time.Time
	}{
		"unknown":       {end: func(s suite) { s.exec("DELETE FROM refresh_tokens") }, at: noon},
		"token expired": {end: func(suite) {}, at: noon.Add(tokenLife), live: true, before: noon.Add(tokenLife - time.Microsecond)},
		"session expired": {
			end: func(s suite) { s.exec("UPDATE refresh_families SET expires_at = ?", noon.Add(time.Hour).UnixMicro()) },
			at:  noon.Add(time.Hour), before: noon.Add(time.Hour - time.Microsecond),
		},
		"session revoked": {at: noon, end: func(s suite) {
			require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return kmsdb.Sessions{}.Revoke(ctx, tx, "ses_1", noon, "test")
			}))
		}},
		"from before a restore": {end: func(s suite) { s.restoredAt(noon.Add(time.Microsecond)) }, at: noon},
		"user disabled":         {end: func(s suite) { s.exec("UPDATE users SET status = ?", user.Disabled) }, at: noon},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(s suite) {
				s.insertSession("a", "b")
				c.end(s)
				if !c.before.IsZero() {
					_, used := s.use("b", c.before)
					require.True(s, used)
				}
				_, used := s.use("a", c.at)
				require.False(s, used)
				shown, _ := s.shown("a", c.at)
				require.Equal(s, c.live, shown.Live)
				require.Empty(s, shown.Successor, "nothing is used up")
			})
		})
	}
}

// contenders is the number of concurrent attempts.
const contenders = 8

// winners runs f concurrently by all contenders and returns how many succeeded.
func (s suite) winners(f func(ctx context.Context, tx *store.Tx) (bool, error)) (n int) {
	s.Helper()
	won, errs := make([]bool, contenders), make([]error, contenders)
	var group sync.WaitGroup
	for i := range contenders {
		group.Go(func() {
			errs[i] = s.db.Write(s.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				won[i], err = f(ctx, tx)
				return err
			})
		})
	}
	group.Wait()
	require.NoError(s, errors.Join(errs...))
	for _, yes := range won {
		if yes {
			n++
		}
	}
	return n
}

func TestUse_givesATokenToOneOfManyAtOnce(t *testing.T) {
	each(t, func(s suite) {
		s.insertSession("a")
		require.Equal(s, 1, s.winners(func(ctx context.Context, tx *store.Tx) (bool, error) {
			_, used, err := kmsdb.Sessions{}.Use(ctx, tx, []byte("a"), []byte("successor"), noon, noon)
			return used, err
		}))
	})
}

func TestProofs_areTakenOnceByOneOfManyAtOnce(t *testing.T) {
	each(t, func(s suite) {
		take := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Sessions{}.UseProof(ctx, tx, "prf_1", noon.Add(time.Minute))
		}
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			taken, err := take(ctx, tx)
			require.True(s, taken)
			require.NoError(s, err)
			return context.Canceled
		})
		require.Equal(s, 1, s.winners(take), "the transaction that was rolled back took nothing")
		require.False(s, s.did(take))
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.Sessions{}.UseProof(ctx, tx, "prf_2", noon.Add(time.Minute))
		}))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := kmsdb.Sessions{}.Sweep(ctx, tx, noon.Add(time.Minute), time.Minute)
			return err
		})
		require.False(s, s.did(take), "it is known as long as it was to be kept")
	})
}
