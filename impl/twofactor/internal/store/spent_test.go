package store_test

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// giver gives a code to a replica.
type giver = func(t *testing.T, s *factor.Service, c factor.Caller, code string) error

// givers are the ways in which a code can be given. Each stores used steps in another place, and all of them check all places.
var givers = map[string]giver{
	"the subject": func(t *testing.T, s *factor.Service, c factor.Caller, code string) error {
		_, err := s.Verify(t.Context(), c, code)
		return err
	},
	"a service, of a session": func(t *testing.T, s *factor.Service, c factor.Caller, code string) error {
		_, err := s.VerifyFor(t.Context(), factor.Caller{Subject: "svc_1"}, c.Subject, "ses_2", code)
		return err
	},
	"a service, of nobody": func(t *testing.T, s *factor.Service, c factor.Caller, code string) error {
		_, err := s.VerifyFor(t.Context(), factor.Caller{Subject: "svc_1"}, c.Subject, "", code)
		return err
	},
}

func eachPairOfGivers(t *testing.T, f func(t *testing.T, w *world, first, second giver)) {
	each(t, func(t *testing.T, w *world) {
		for first := range givers {
			for second := range givers {
				t.Run(first+", then "+second, func(t *testing.T) { f(t, w, givers[first], givers[second]) })
			}
		}
	})
}

func TestSpent_isNoCodeTwiceWhoeverGivesIt(t *testing.T) {
	eachPairOfGivers(t, func(t *testing.T, w *world, first, second giver) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		code := w.code(t, seed, totp.Default, 0)
		require.NoError(t, first(t, w.Service, c, code))
		require.ErrorIs(t, second(t, w.more(), c, code), factor.ErrInvalidCode)
		require.ErrorIs(t, second(t, w.Service, c, w.code(t, seed, totp.Default, -1)), factor.ErrInvalidCode)
	})
}

// After a clock was ahead, the newest step says nothing: each accepted step is stored by itself.
func TestSpent_isNoCodeTwiceWhenTheClockJumps(t *testing.T) {
	eachPairOfGivers(t, func(t *testing.T, w *world, first, second giver) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(10 * time.Minute)
		early := w.code(t, seed, totp.Default, 0)
		require.NoError(t, first(t, w.Service, c, early))
		w.now.Advance(time.Hour)
		late := w.code(t, seed, totp.Default, 0)
		require.NoError(t, first(t, w.Service, c, late))
		w.now.Advance(-time.Hour)
		require.ErrorIs(t, second(t, w.Service, c, early), factor.ErrInvalidCode)
		require.NoError(t, w.Sweep(t.Context())) // takes the newest step away
		require.ErrorIs(t, second(t, w.Service, c, early), factor.ErrInvalidCode)
		w.now.Advance(time.Minute)
		require.NoError(t, second(t, w.Service, c, w.code(t, seed, totp.Default, 0)))
		w.now.Advance(59 * time.Minute)
		require.ErrorIs(t, second(t, w.Service, c, late), factor.ErrInvalidCode)
		w.now.Advance(-time.Hour) // the next test goes on from here
	})
}

// However a code is given, and at whichever replica, exactly one wins each time.
func TestSpent_hasOneWinnerOfManyReplicas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		replicas := []*factor.Service{w.Service, w.more(), w.more()}
		for range 6 {
			w.now.Advance(30 * time.Second)
			code := w.code(t, seed, totp.Default, 0)
			var group sync.WaitGroup
			var won atomic.Int64
			for _, s := range replicas {
				for _, give := range givers {
					group.Go(func() {
						if give(t, s, c, code) == nil {
							won.Add(1)
						}
					})
				}
			}
			group.Wait()
			require.EqualValues(t, 1, won.Load())
			w.exec(t, "UPDATE subjects SET wrong = 0, locked_until = 0, full_at = 0, run = 0")
		}
	})
}

// Codes of different steps are given to different replicas at once: the next code of an honest person is not refused as used.
func TestSpent_refusesNoNewerCodeForAnOlderOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		nobody := givers["a service, of nobody"]
		replicas := []*factor.Service{w.Service, w.more()}
		for range 10 {
			w.now.Advance(time.Minute)
			var group sync.WaitGroup
			var newer error
			group.Go(func() { _ = nobody(t, replicas[0], c, w.code(t, seed, totp.Default, -1)) }) // right, unless it comes second
			group.Go(func() { newer = nobody(t, replicas[1], c, w.code(t, seed, totp.Default, 0)) })
			group.Wait()
			require.NoError(t, newer)
			w.exec(t, "UPDATE subjects SET wrong = 0, locked_until = 0, full_at = 0, run = 0")
		}
	})
}

func TestSpent_isHeededByAResync(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		id, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(time.Hour)
		require.NoError(t, givers["a service, of nobody"](t, w.Service, c, w.code(t, seed, totp.Default, 0)))
		w.exec(t, "UPDATE factors SET last_step = -1") // as after a clock that was ahead
		for first := int64(-1); first <= 0; first++ {
			_, err := w.Resync(t.Context(), c, id, w.code(t, seed, totp.Default, first), w.code(t, seed, totp.Default, first+1))
			require.ErrorIs(t, err, factor.ErrInvalidCode)
		}
		_, err := w.Resync(t.Context(), c, id, w.code(t, seed, totp.Default, 1), w.code(t, seed, totp.Default, 2))
		require.NoError(t, err)
	})
}

// Stored steps that can't be read count as no wrong code, and accept nothing.
func TestSpent_thatWasChangedRefusesEveryCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.exec(t, "UPDATE factors SET spent = ?", []byte{0x80})
		for _, give := range givers {
			require.ErrorIs(t, give(t, w.Service, c, w.code(t, seed, totp.Default, 0)), totp.ErrSteps)
		}
	})
}

// This is TestVerify_looksAtFiveOfManyParallelGuesses for a service that names no session, and for services that do: the limit holds for all together.
func TestSpent_fiveOfManyParallelGuessesAreLookedAtWhoeverGivesThem(t *testing.T) {
	const guesses = 64
	each(t, func(t *testing.T, w *world) {
		replicas := []*factor.Service{w.Service, w.more()}
		all := slices.Collect(maps.Values(givers))
		for name, by := range map[string][]giver{"nobody": {givers["a service, of nobody"]}, "all": all} {
			for round := range count(1, 100) {
				c := someone()
				_, seed := w.enrolled(t, c, totp.Default)
				guess := w.wrong(t, seed, totp.Default)
				var looked, refused atomic.Int64
				together(guesses, func(i int) {
					switch kind := kindOf(by[i%len(by)](t, replicas[i%2], c, guess)); kind {
					case "wrong":
						looked.Add(1)
					case "locked":
						refused.Add(1)
					default:
						t.Error(kind)
					}
				})
				require.EqualValues(t, factor.RoundCap, looked.Load(), "%s, round %d", name, round)
				require.EqualValues(t, guesses-factor.RoundCap, refused.Load(), "%s, round %d", name, round)
				requireLocked(t, by[0](t, w.Service, c, w.code(t, seed, totp.Default, 0)), "the right code, too")
			}
		}
	})
}

// The rows of a restored copy lack what was used after the backup: steps up to the restore are refused, wherever they would be stored.
func TestSpent_refusesStepsUpToARestoreWhoeverGivesThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, give := range givers {
			w.now.Advance(time.Minute) // behind the last restore
			c := someone()
			_, seed := w.enrolled(t, c, totp.Default)
			w.now.Advance(10*time.Minute + 15*time.Second)
			w.exec(t, "UPDATE restore_mark SET not_before = ?", w.now.Now().UnixMicro())
			for offset := int64(-1); offset <= 0; offset++ {
				require.ErrorIs(t, give(t, w.Service, c, w.code(t, seed, totp.Default, offset)), factor.ErrInvalidCode, name)
			}
			w.now.Advance(15 * time.Second)
			require.NoError(t, give(t, w.Service, c, w.code(t, seed, totp.Default, 0)), name)
		}
	})
}

// Version 0.1 stored every used step in used_steps. What was used before the upgrade stays used, even where the newest step says nothing.
func TestSpent_knowsWhatWasUsedBeforeTheUpgrade(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *base.DB) {
		key, now, db := seal.NewDataKey(), clock.NewFake(start), open(t)
		old := newWorld(t, db, key, now)
		c := someone()
		_, seed := old.enrolled(t, c, totp.Default)
		var used []string
		for _, giver := range []string{"the subject", "a service, of a session"} {
			now.Advance(30 * time.Second)
			used = append(used, old.code(t, seed, totp.Default, 0))
			require.NoError(t, givers[giver](t, old.Service, c, used[len(used)-1]))
		}
		old.exec(t, "ALTER TABLE factors DROP COLUMN spent")
		old.exec(t, "DELETE FROM goose_db_version WHERE version_id = 153")
		require.NoError(t, db.Close())

		w := newWorld(t, open(t), key, now)
		w.exec(t, "UPDATE factors SET last_step = -1") // as after a clock that was ahead
		for name, give := range givers {
			for _, code := range used {
				require.ErrorIs(t, give(t, w.Service, c, code), factor.ErrInvalidCode, name)
			}
			w.exec(t, "UPDATE subjects SET wrong = 0, locked_until = 0, full_at = 0, run = 0")
		}
		for name, give := range givers {
			now.Advance(time.Minute)
			require.NoError(t, give(t, w.Service, c, w.code(t, seed, totp.Default, 0)), name)
		}
	})
}
