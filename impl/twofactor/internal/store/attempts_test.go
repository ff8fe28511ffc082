package store_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
)

// together runs f in n goroutines that start at the same moment.
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

// kindOf distinguishes a code that was compared and is wrong from one that was not compared.
func kindOf(err error) string {
	var locked *factor.TooManyAttempts
	switch {
	case err == nil:
		return "right"
	case errors.Is(err, factor.ErrInvalidCode):
		return "wrong"
	case errors.As(err, &locked):
		return "locked"
	}
	return err.Error()
}

func TestVerify_hasOneWinnerOfManyUsesOfOneCode(t *testing.T) {
	const contenders = 32
	rounds := count(25, 3200)
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
				switch kindOf(err) {
				case "right":
					won.Add(1)
				case "wrong", "locked":
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
	guesses, rounds := count(64, 500), count(10, 100)
	each(t, func(t *testing.T, w *world) {
		replicas := []*factor.Service{w.Service, w.more()}
		for round := range rounds {
			c := someone()
			_, seed := w.enrolled(t, c, totp.Default)
			guess := w.wrong(t, seed, totp.Default)
			var looked, refused atomic.Int64
			together(guesses, func(i int) {
				switch _, err := replicas[i%2].Verify(t.Context(), c, guess); kindOf(err) {
				case "wrong":
					looked.Add(1)
				case "locked":
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
			require.Equal(t, int64(factor.RoundCap), looked.Load(), "round %d", round)
			require.Equal(t, int64(guesses-factor.RoundCap), refused.Load(), "round %d", round)
			require.Equal(t, int64(factor.RoundCap), w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", c.Subject))
			_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			requireLocked(t, err, "the right code, too, and it says locked, not wrong")
		}
	})
}

func TestVerify_locksLongerEachTimeAndUntilTheStoreOfGuessesHasOneInTheEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		begin := w.now.Now()
		locks := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute}
		for round := range factor.MaxGuesses / factor.RoundCap {
			for range factor.RoundCap {
				_, err := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
				require.ErrorIs(t, err, factor.ErrInvalidCode, "round %d", round)
			}
			_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			lock := locks[min(round, len(locks)-1)]
			require.Equal(t, lock, requireLocked(t, err))
			factors, err := w.List(t.Context(), c.Subject, factor.Cursor{}, 10)
			require.NoError(t, err)
			require.Equal(t, factor.Locked, factors[0].Status)
			w.now.Advance(lock - time.Microsecond)
			_, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			requireLocked(t, err, "one microsecond too early")
			w.now.Advance(time.Microsecond)
		}
		for n := range 3 {
			_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			require.Equal(t, begin.Add(time.Duration(n+1)*factor.GuessEvery).Sub(w.now.Now()), requireLocked(t, err), "the store is empty: one guess in twelve hours")
			w.now.Advance(requireLocked(t, err))
			_, err = w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
			require.ErrorIs(t, err, factor.ErrInvalidCode)
			w.now.Advance(factor.LongestLock)
		}
		w.now.Advance(factor.GuessEvery)
		p, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
	})
}

func TestVerify_forgetsTypingErrorsAfterARightCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		for range 4 {
			for range factor.RoundCap - 1 {
				_, err := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
				require.ErrorIs(t, err, factor.ErrInvalidCode)
			}
			p, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0)) // the fifth attempt
			requireRight(t, p, err)
			require.Zero(t, w.number(t, "SELECT wrong + locked_until + run FROM subjects WHERE subject = ?", c.Subject))
			require.LessOrEqual(t, w.number(t, "SELECT full_at FROM subjects WHERE subject = ?", c.Subject), w.now.Now().UnixMicro())
			w.now.Advance(30 * time.Second)
		}
	})
}

// One device repeatedly gets three wrong codes and then the right one. The other device, which was not used, still works. (It was once locked by that, and after a
// hundred wrong codes for good.)
func TestVerify_typingErrorsOnOneDeviceLeaveTheOtherAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, firstSeed := w.enrolled(t, c, totp.Default)
		_, secondSeed := w.enrolled(t, c, totp.Default)
		for round := range 40 {
			w.now.Advance(time.Minute)
			for range 3 {
				_, err := w.Verify(t.Context(), c, w.wrong(t, firstSeed, totp.Default))
				require.ErrorIs(t, err, factor.ErrInvalidCode, "round %d", round)
			}
			p, err := w.Verify(t.Context(), c, w.code(t, firstSeed, totp.Default, 0))
			requireRight(t, p, err)
		}
		p, err := w.Verify(t.Context(), c, w.code(t, secondSeed, totp.Default, 0))
		requireRight(t, p, err)
	})
}

// A guesser who has only the password, and sessions of their own, locks out new sessions, but not the one in which the owner has given a right code.
func TestVerify_keepsAProvenSessionApartFromOthersGuesses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		owner := someone()
		_, seed := w.enrolled(t, owner, totp.Default)
		p, err := w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
		thief := owner
		for i := range 20 {
			thief.Session = "ses_thief" + strconv.Itoa(i)
			_, _ = w.Verify(t.Context(), thief, w.wrong(t, seed, totp.Default))
		}
		_, err = w.Verify(t.Context(), thief, w.code(t, seed, totp.Default, 0))
		requireLocked(t, err)
		for range factor.RoundCap - 1 {
			_, err = w.Verify(t.Context(), owner, w.wrong(t, seed, totp.Default))
			require.ErrorIs(t, err, factor.ErrInvalidCode)
		}
		w.now.Advance(29 * time.Second) // the lock lasts, a new step has begun
		w.now.Advance(0)
		full := w.number(t, "SELECT full_at FROM subjects WHERE subject = ?", owner.Subject)
		p, err = w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 1))
		requireWrong(t, p, err) // the fifth: a code of the future
		_, err = w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 0))
		requireLocked(t, err, "its five are spent too")
		require.Equal(t, full, w.number(t, "SELECT full_at FROM subjects WHERE subject = ?", owner.Subject))
	})
}

// A right code in one session gives back no guesses of another session.
func TestVerify_countsAThiefsGuessesHoweverOftenTheOwnerSignsIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		owner := someone()
		_, seed := w.enrolled(t, owner, totp.Default)
		thief := owner
		thief.Session = "ses_thief"
		guesses := 0
		for range 2 * factor.MaxGuesses {
			w.now.Advance(time.Minute)
			for range factor.RoundCap - 1 {
				if _, err := w.Verify(t.Context(), thief, w.wrong(t, seed, totp.Default)); errors.Is(err, factor.ErrInvalidCode) {
					guesses++
				}
			}
			p, err := w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 0))
			requireRight(t, p, err)
		}
		require.Equal(t, factor.MaxGuesses, guesses)
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
			case "wrong":
				looked.Add(1)
			case "locked":
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
		require.Equal(t, factor.Active, f.Factor.Status)
	})
}

// Of many uses of one recovery code at once, on two replicas, exactly one wins (T15).
func TestUseRecoveryCode_hasOneWinnerOfManyUses(t *testing.T) {
	const rounds, contenders = 10, 32
	each(t, func(t *testing.T, w *world) {
		replicas := []*factor.Service{w.Service, w.more()}
		c := someone()
		e, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		confirmed, err := w.Confirm(t.Context(), c, e.FactorID, w.code(t, seedOf(t, e), totp.Default, 0))
		require.NoError(t, err)
		for _, code := range confirmed.RecoveryCodes.Codes[:rounds] {
			var won atomic.Int64
			together(contenders, func(i int) {
				switch _, err := replicas[i%2].UseRecoveryCode(t.Context(), c, code); kindOf(err) {
				case "right":
					won.Add(1)
				case "wrong":
				default:
					t.Error(err)
				}
			})
			require.Equal(t, int64(1), won.Load())
		}
		left, err := w.RecoveryCodesLeft(t.Context(), c.Subject)
		require.NoError(t, err)
		require.Equal(t, len(confirmed.RecoveryCodes.Codes)-rounds, left.Remaining)
		require.True(t, left.Few)
	})
}

// In a restored backup used recovery codes are unused again: codes that were made before the restore are refused.
func TestUseRecoveryCode_refusesCodesFromBeforeARestore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		w.enrolled(t, c, totp.Default)
		made, err := w.CreateRecoveryCodes(t.Context(), c)
		require.NoError(t, err)
		w.now.Advance(time.Second)
		w.exec(t, "UPDATE restore_mark SET not_before = ?", w.now.Now().UnixMicro())
		_, err = w.UseRecoveryCode(t.Context(), c, made.Codes[0])
		require.ErrorIs(t, err, factor.ErrInvalidCode)
		w.now.Advance(time.Second)
		made, err = w.CreateRecoveryCodes(t.Context(), c)
		require.NoError(t, err)
		_, err = w.UseRecoveryCode(t.Context(), c, made.Codes[0])
		require.NoError(t, err)
	})
}

// When guesses of others have used up the budget, a recovery code makes the owner's session proven: codes of authenticators are checked in it again.
func TestUseRecoveryCode_keepsItsSessionApartFromOthersGuesses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		owner := someone()
		_, seed := w.enrolled(t, owner, totp.Default)
		made, err := w.CreateRecoveryCodes(t.Context(), owner)
		require.NoError(t, err)
		w.exec(t, "UPDATE subjects SET full_at = ? WHERE subject = ?", w.now.Now().Add(factor.MaxGuesses*factor.GuessEvery).UnixMicro(), owner.Subject)
		_, err = w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 0))
		requireLocked(t, err)
		other := owner
		other.Session = "ses_other"
		_, err = w.UseRecoveryCode(t.Context(), owner, made.Codes[0])
		require.NoError(t, err)
		_, err = w.Verify(t.Context(), other, w.code(t, seed, totp.Default, 0))
		requireLocked(t, err, "another session")
		for range factor.RoundCap - 1 {
			_, err = w.Verify(t.Context(), owner, w.wrong(t, seed, totp.Default))
			require.ErrorIs(t, err, factor.ErrInvalidCode)
		}
		p, err := w.Verify(t.Context(), owner, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
	})
}
