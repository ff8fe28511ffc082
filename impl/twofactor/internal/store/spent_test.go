package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
)

// givers are the ways in which a code comes: each keeps what it has used in another place, and all of them heed all.
var givers = map[string]func(t *testing.T, s *factor.Service, c factor.Caller, code string) error{
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

func eachPairOfGivers(t *testing.T, f func(t *testing.T, w *world, first, second func(t *testing.T, s *factor.Service, c factor.Caller, code string) error)) {
	each(t, func(t *testing.T, w *world) {
		for first := range givers {
			for second := range givers {
				t.Run(first+", then "+second, func(t *testing.T) { f(t, w, givers[first], givers[second]) })
			}
		}
	})
}

func TestSpent_isNoCodeTwiceWhoeverGivesIt(t *testing.T) {
	eachPairOfGivers(t, func(t *testing.T, w *world, first, second func(t *testing.T, s *factor.Service, c factor.Caller, code string) error) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		code := w.code(t, seed, totp.Default, 0)
		require.NoError(t, first(t, w.Service, c, code))
		require.ErrorIs(t, second(t, w.more(), c, code), factor.ErrInvalidCode)
		require.ErrorIs(t, second(t, w.Service, c, w.code(t, seed, totp.Default, -1)), factor.ErrInvalidCode)
	})
}

// After a clock that was ahead the newest step tells nothing: each accepted one is remembered by itself.
func TestSpent_isNoCodeTwiceWhenTheClockJumps(t *testing.T) {
	eachPairOfGivers(t, func(t *testing.T, w *world, first, second func(t *testing.T, s *factor.Service, c factor.Caller, code string) error) {
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

// Whoever gives the code, at whichever replica: one wins, each time.
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

// Codes of different steps at different replicas at once: an honest person who gives the next one is not told that it was used.
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

// What can't be read is nobody's wrong code, and opens nothing.
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
