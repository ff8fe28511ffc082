package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
)

var (
	errSignIn = errors.New("sign in again")
	errFactor = errors.New("give a code")
)

func TestEnrol_asksForASignInFirstAndForACodeBesideAnActiveFactor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		stale := c
		stale.SignIn, stale.SecondFactor = errSignIn, errFactor
		_, err := w.Enrol(t.Context(), stale, "", totp.Default, "", nil)
		require.ErrorIs(t, err, errSignIn)

		fresh := c
		fresh.SecondFactor = errFactor
		e, err := w.Enrol(t.Context(), fresh, "", totp.Default, "", nil)
		require.NoError(t, err, "nobody has a code before the first factor")
		_, err = w.Enrol(t.Context(), fresh, "", totp.Default, "", nil)
		require.NoError(t, err, "a pending factor is no factor yet, and stays beside the second one")
		_, err = w.Confirm(t.Context(), fresh, e.FactorID, w.code(t, seedOf(t, e), totp.Default, 0))
		require.NoError(t, err)

		_, err = w.Enrol(t.Context(), fresh, "", totp.Default, "", nil)
		require.ErrorIs(t, err, errFactor, "whoever holds a session must not add a factor of his own")
		strong := stale
		strong.SecondFactor = nil
		_, err = w.Enrol(t.Context(), strong, "", totp.Default, "", nil)
		require.NoError(t, err, "the code is worth more than the age of the sign-in")
	})
}

// A factor that was enrolled before the first factor became active can't be confirmed without a second factor afterwards.
func TestConfirm_asksForACodeWhenAnotherFactorBecameActive(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		c.SecondFactor = errFactor
		planted, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		first, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		_, err = w.Confirm(t.Context(), c, first.FactorID, w.code(t, seedOf(t, first), totp.Default, 0))
		require.NoError(t, err)
		code := w.code(t, seedOf(t, planted), totp.Default, 0)
		_, err = w.Confirm(t.Context(), c, planted.FactorID, code)
		require.ErrorIs(t, err, errFactor)
		require.Zero(t, w.number(t, "SELECT attempts FROM factors WHERE id = ?", planted.FactorID))
		c.SecondFactor = nil
		_, err = w.Confirm(t.Context(), c, planted.FactorID, code)
		require.NoError(t, err)
	})
}

// The same holds when both are confirmed at the same moment.
func TestConfirm_letsOneOfManyInWithoutACode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for round := range 5 {
			c := someone()
			c.SecondFactor = errFactor
			enrolments := make([]factor.Enrolment, factor.MaxFactors)
			for i := range enrolments {
				var err error
				enrolments[i], err = w.Enrol(t.Context(), c, "", totp.Default, "", nil)
				require.NoError(t, err)
			}
			var in atomic.Int64
			together(len(enrolments), func(i int) {
				_, err := w.Confirm(t.Context(), c, enrolments[i].FactorID, w.code(t, seedOf(t, enrolments[i]), totp.Default, 0))
				if err == nil {
					in.Add(1)
				} else if !errors.Is(err, errFactor) {
					t.Error(err)
				}
			})
			require.Equal(t, int64(1), in.Load(), "round %d", round)
		}
	})
}

func TestEnrol_stopsAtFiveFactors(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		replicas := []*factor.Service{w.Service, w.more()}
		c := someone()
		var made, refused atomic.Int64
		together(20, func(i int) {
			_, err := replicas[i%2].Enrol(t.Context(), c, "", totp.Default, "", nil)
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, factor.ErrLimit):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		require.Equal(t, int64(factor.MaxFactors), made.Load())
		require.Equal(t, int64(15), refused.Load())
		w.now.Advance(factor.PendingLife)
		_, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err, "expired enrolments do not count")
	})
}

func TestEnrol_failsWithoutRandomness(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		poor := w.service(t, w.store, strings.NewReader(strings.Repeat("d", totp.SeedSize)+strings.Repeat("s", totp.SeedSize-1)))
		_, err := poor.Enrol(t.Context(), someone(), "", totp.Default, "", nil)
		require.Error(t, err)
		require.Zero(t, w.number(t, "SELECT COUNT(*) FROM factors"))
	})
}

func TestConfirm_isGoneAfterTheEnrolmentExpired(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		e, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		w.now.Advance(factor.PendingLife - time.Microsecond)
		uri, err := w.URI(t.Context(), c, e.FactorID)
		require.NoError(t, err)
		require.Equal(t, e.URI, uri)
		w.now.Advance(time.Microsecond)
		_, err = w.URI(t.Context(), c, e.FactorID)
		require.ErrorIs(t, err, factor.ErrUnknown)
		_, err = w.Confirm(t.Context(), c, e.FactorID, w.code(t, seedOf(t, e), totp.Default, 0))
		require.ErrorIs(t, err, factor.ErrExpired)
		list, err := w.List(t.Context(), c.Subject, factor.Cursor{}, 10)
		require.NoError(t, err)
		require.Empty(t, list)
		w.now.Advance(25 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		_, err = w.Confirm(t.Context(), c, e.FactorID, "123456")
		require.ErrorIs(t, err, factor.ErrUnknown)
	})
}

func TestFactors_belongToTheirSubject(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, other := someone(), someone()
		e, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		code := w.code(t, seedOf(t, e), totp.Default, 0)
		_, err = w.Confirm(t.Context(), other, e.FactorID, code)
		require.ErrorIs(t, err, factor.ErrUnknown)
		_, err = w.URI(t.Context(), other, e.FactorID)
		require.ErrorIs(t, err, factor.ErrUnknown)
		require.ErrorIs(t, w.Revoke(t.Context(), other, e.FactorID), factor.ErrUnknown)
		_, err = w.Confirm(t.Context(), c, e.FactorID, code)
		require.NoError(t, err)
		_, err = w.Confirm(t.Context(), c, e.FactorID, code)
		require.ErrorIs(t, err, factor.ErrUnknown, "it is pending no more")
		_, err = w.URI(t.Context(), c, e.FactorID)
		require.ErrorIs(t, err, factor.ErrUnknown, "the seed is shown no more")
	})
}

func TestRevoke_endsTheFactorAndDestroysItsSeed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		id, seed := w.enrolled(t, c, totp.Default)
		require.NoError(t, w.Revoke(t.Context(), c, id))
		_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		require.ErrorIs(t, err, factor.ErrInvalidCode)
		require.ErrorIs(t, w.Revoke(t.Context(), c, id), factor.ErrUnknown)
		require.Zero(t, w.number(t, "SELECT LENGTH(sealed_seed) FROM factors WHERE id = ?", id))
		list, err := w.List(t.Context(), c.Subject, factor.Cursor{}, 10)
		require.NoError(t, err)
		require.Empty(t, list)
		require.Equal(t, "revokeFactor", w.events(t)[1].Action)
		w.now.Advance(31 * 24 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		require.Zero(t, w.number(t, "SELECT COUNT(*) FROM factors"))
	})
}

func TestRevoke_andACodeTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		other := w.more()
		for range 10 {
			c := someone()
			id, seed := w.enrolled(t, c, totp.Default)
			var revoked, verified error
			together(2, func(i int) {
				if i == 0 {
					revoked = w.Revoke(t.Context(), c, id)
				} else {
					_, verified = other.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
				}
			})
			require.NoError(t, revoked)
			require.Contains(t, []string{"right", "wrong"}, kindOf(verified))
			w.now.Advance(time.Minute)
			_, err := other.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			require.ErrorIs(t, err, factor.ErrInvalidCode, "after the answer of the revocation")
		}
	})
}

func TestList_pagesThroughFactorsOldestFirst(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		var made []string
		for i := range factor.MaxFactors {
			e, err := w.Enrol(t.Context(), c, strings.Repeat("x", i), totp.Default, "", nil)
			require.NoError(t, err)
			made = append(made, e.FactorID)
			if i%2 == 1 {
				w.now.Advance(time.Second)
			}
		}
		var got []string
		var after factor.Cursor
		for {
			part, err := w.List(t.Context(), c.Subject, after, 2)
			require.NoError(t, err)
			if len(part) == 0 {
				break
			}
			for _, f := range part {
				got = append(got, f.ID)
			}
			after = factor.Cursor{Created: part[len(part)-1].Created, ID: part[len(part)-1].ID}
		}
		require.ElementsMatch(t, made, got)
		require.ElementsMatch(t, made[:2], got[:2])
		require.Equal(t, made[4], got[4])
	})
}

func TestOnce_answersARepeatedEnrolmentWithTheFirst(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		answers := idempotency.New(w.key, w.key, w.now)
		c := someone()
		key := func(value, body string) factor.Once {
			return store.Once(answers, idempotency.Key{Principal: c.Subject, Operation: "enrolTotp", Value: value, Path: "/factors/totp", Body: []byte(body)})
		}
		replicas := []*factor.Service{w.Service, w.more()}
		var mu sync.Mutex
		got := map[string]int{}
		together(8, func(i int) {
			e, err := replicas[i%2].Enrol(t.Context(), c, "phone", totp.Default, "", key("key-12345678", `{"label":"phone"}`))
			if err != nil {
				require.ErrorIs(t, err, problem.IdempotencyInFlight)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[e.FactorID+e.Secret+e.URI+e.Expires.String()]++
		})
		require.Len(t, got, 1, "all who got an answer got the same")
		require.Equal(t, int64(1), w.number(t, "SELECT COUNT(*) FROM factors"))
		_, err := w.Enrol(t.Context(), c, "tablet", totp.Default, "", key("key-12345678", `{"label":"tablet"}`))
		require.ErrorIs(t, err, problem.IdempotencyConflict)
		_, err = w.Enrol(t.Context(), c, "tablet", totp.Default, "", key("key-87654321", `{"label":"tablet"}`))
		require.NoError(t, err)
		w.now.Advance(idempotency.SecretLife + time.Second)
		_, err = w.Enrol(t.Context(), c, "phone", totp.Default, "", key("key-12345678", `{"label":"phone"}`))
		require.ErrorIs(t, err, problem.ReplayExpired, "the seed is not given out for ever, and no second factor is made")
	})
}

func TestProofKey_isOneForAllReplicas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.exec(t, "DELETE FROM proof_keys")
		ids := make([]string, 8)
		together(len(ids), func(i int) {
			k, err := w.store.ProofKey(t.Context(), w.key, w.now.Now())
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
		require.Equal(t, int64(1), w.number(t, "SELECT COUNT(*) FROM proof_keys"))
		w.exec(t, "UPDATE proof_keys SET kid = 'x' || kid")
		_, err := w.store.ProofKey(t.Context(), w.key, w.now.Now())
		require.Error(t, err, "a moved seed does not open")
	})
}

// Activation itself checks the expiry: an enrolment can expire, and even be a day old, between the admission of its code and the activation.
func TestActivate_refusesAnExpiredEnrolment(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		e, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		for _, late := range []time.Duration{factor.PendingLife, 24 * time.Hour} {
			at := start.Add(late)
			err = w.store.Write(t.Context(), func(ctx context.Context, tx factor.Tx) error {
				done, err := tx.Activate(ctx, c.Subject, e.FactorID, totp.Default.Step(at), at)
				require.False(t, done)
				return err
			})
			require.NoError(t, err)
		}
		require.Zero(t, w.number(t, "SELECT COUNT(*) FROM factors WHERE status = 'active'"))
	})
}
