package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
)

// together runs f in n goroutines that begin at the same moment.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-begin
			f(i)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
}

// refusalOf is the refusal that an error is, without its cause; empty for none.
func refusalOf(err error) factor.Refusal {
	var r *factor.Refusal
	if !errors.As(err, &r) {
		return factor.Refusal{}
	}
	return factor.Refusal{Kind: r.Kind, Sentence: r.Sentence, Retry: r.Retry}
}

// kindOf is the kind of a refusal, "" for none.
func kindOf(err error) factor.Kind { return refusalOf(err).Kind }

func TestVerify_hasOneWinnerOfManyUsesOfOneCode(t *testing.T) {
	const rounds, contenders = 25, 32
	each(t, func(t *testing.T, w *world) {
		replicas := []*factor.Service{w.Service, w.more()}
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		for round := range rounds {
			w.now.Advance(time.Minute)
			code := w.code(t, seed, totp.Default, 0)
			var won, refused atomic.Int64
			together(contenders, func(i int) {
				_, err := replicas[i%2].Verify(t.Context(), c, code)
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, factor.InvalidCode), errors.Is(err, factor.TooManyAttempts):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
			require.Equal(t, int64(1), won.Load(), "round %d", round)
			require.Equal(t, int64(contenders-1), refused.Load(), "round %d", round)
		}
	})
}

func TestVerify_looksAtFiveOfManyParallelGuesses(t *testing.T) {
	const rounds, guesses = 10, 64
	each(t, func(t *testing.T, w *world) {
		replicas := []*factor.Service{w.Service, w.more()}
		for round := range rounds {
			c := someone()
			id, seed := w.enrolled(t, c, totp.Default)
			guess := w.wrong(t, seed, totp.Default)
			var looked, refused atomic.Int64
			together(guesses, func(i int) {
				switch _, err := replicas[i%2].Verify(t.Context(), c, guess); kindOf(err) {
				case factor.InvalidCode:
					looked.Add(1)
				case factor.TooManyAttempts:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
			require.Equal(t, int64(factor.RoundCap), looked.Load(), "round %d", round)
			require.Equal(t, int64(guesses-factor.RoundCap), refused.Load(), "round %d", round)
			require.Equal(t, int64(factor.RoundCap), w.number(t, "SELECT attempts FROM factors WHERE id = ?", id))
			_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			require.ErrorIs(t, err, factor.TooManyAttempts, "the right code, too, and it says locked, not wrong")
		}
	})
}

func TestVerify_locksLongerEachTimeAndForGoodInTheEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		want := []int{30, 60, 120, 240, 480, 900}
		for round := range factor.HardCap / factor.RoundCap {
			for range factor.RoundCap {
				_, err := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
				require.ErrorIs(t, err, factor.InvalidCode, "round %d", round)
			}
			_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			require.ErrorIs(t, err, factor.TooManyAttempts)
			seconds := want[min(round, len(want)-1)]
			require.Equal(t, time.Duration(seconds)*time.Second, refusalOf(err).Retry)
			factors, err := w.List(t.Context(), c.Subject, factor.Cursor{}, 10)
			require.NoError(t, err)
			require.Equal(t, factor.Locked, factors[0].Status)
			w.now.Advance(time.Duration(seconds)*time.Second - time.Microsecond)
			_, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			require.ErrorIs(t, err, factor.TooManyAttempts, "one microsecond too early")
			w.now.Advance(time.Microsecond)
		}
		for range 3 {
			w.now.Advance(365 * 24 * time.Hour)
			_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			require.ErrorIs(t, err, factor.TooManyAttempts, "a hundred in a row: no time opens it")
			require.Equal(t, 15*time.Minute, refusalOf(err).Retry)
		}
	})
}

func TestVerify_forgetsWrongCodesAfterARightOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		id, seed := w.enrolled(t, c, totp.Default)
		for range 4 {
			for range factor.RoundCap - 1 {
				_, err := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
				require.ErrorIs(t, err, factor.InvalidCode)
			}
			p, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0)) // the fifth attempt
			requireRight(t, p, err)
			require.Zero(t, w.number(t, "SELECT attempts + locked_until FROM factors WHERE id = ?", id))
			w.now.Advance(30 * time.Second)
		}
	})
}

// The lock of one factor is no way round: guesses count on all, and a locked one stays locked beside another.
func TestVerify_countsAGuessOnEveryFactorItIsTriedOn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		first, firstSeed := w.enrolled(t, c, totp.Default)
		second, secondSeed := w.enrolled(t, c, totp.Default)
		w.exec(t, "UPDATE factors SET attempts = 4 WHERE id = ?", first)
		_, err := w.Verify(t.Context(), c, "000000")
		require.ErrorIs(t, err, factor.InvalidCode)
		require.Positive(t, w.number(t, "SELECT locked_until FROM factors WHERE id = ?", first))
		_, err = w.Verify(t.Context(), c, w.code(t, firstSeed, totp.Default, 0))
		require.ErrorIs(t, err, factor.InvalidCode, "locked: its codes are not looked at")
		p, err := w.Verify(t.Context(), c, w.code(t, secondSeed, totp.Default, 0))
		requireRight(t, p, err)
		require.Equal(t, int64(5), w.number(t, "SELECT attempts FROM factors WHERE id = ?", first), "nothing is given back that was not taken")
		require.Zero(t, w.number(t, "SELECT attempts FROM factors WHERE id = ?", second))
	})
}

// A right code of one factor that was also the fifth attempt on another takes the lock of that one back with the attempt.
func TestVerify_givesBackTheAttemptThatLocked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		first, firstSeed := w.enrolled(t, c, totp.Default)
		_, secondSeed := w.enrolled(t, c, totp.Default)
		w.exec(t, "UPDATE factors SET attempts = 4 WHERE id = ?", first)
		p, err := w.Verify(t.Context(), c, w.code(t, secondSeed, totp.Default, 0))
		requireRight(t, p, err)
		require.Equal(t, int64(4), w.number(t, "SELECT attempts FROM factors WHERE id = ?", first))
		p, err = w.Verify(t.Context(), c, w.code(t, firstSeed, totp.Default, 0))
		requireRight(t, p, err)
	})
}

func TestConfirm_looksAtFiveOfManyParallelGuesses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		e, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		guess := w.wrong(t, seedOf(t, e), totp.Default)
		var looked, refused atomic.Int64
		together(32, func(int) {
			switch _, err := w.Confirm(t.Context(), c, e.FactorID, guess); kindOf(err) {
			case factor.InvalidCode:
				looked.Add(1)
			case factor.TooManyAttempts:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		require.Equal(t, int64(factor.RoundCap), looked.Load())
		require.Equal(t, int64(32-factor.RoundCap), refused.Load())
		w.now.Advance(30 * time.Second)
		f, err := w.Confirm(t.Context(), c, e.FactorID, w.code(t, seedOf(t, e), totp.Default, 0))
		require.NoError(t, err)
		require.Equal(t, factor.Active, f.Status)
	})
}
