package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

func TestVerify_acceptsACodeOnceAndNeverAfterALaterOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		current, past := w.code(t, seed, totp.Default, 0), w.code(t, seed, totp.Default, -1)
		p, err := w.Verify(t.Context(), c, current)
		requireRight(t, p, err)
		claims, err := auth.VerifyProof(t.Context(), p.Token, auth.StaticKeys{w.ProofKey.ID(): {Algorithm: "EdDSA", Key: w.ProofKey.Public()}}, w.now)
		require.NoError(t, err)
		require.Equal(t, c.Subject+" "+c.Client+" "+c.Session, claims.Subject+" "+claims.AuthorizedParty+" "+claims.SessionID)

		other := c
		other.Session = "ses_2"
		for _, again := range []struct {
			who  factor.Caller
			at   *factor.Service
			code string
		}{{c, w.Service, current}, {other, w.Service, current}, {c, w.more(), current}, {c, w.Service, past}} {
			p, err = again.at.Verify(t.Context(), again.who, again.code)
			requireWrong(t, p, err)
		}
		w.now.Advance(30 * time.Second)
		p, err = w.Verify(t.Context(), c, current)
		requireWrong(t, p, err) // the neighbouring step
		w.now.Advance(time.Minute)
		p, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
	})
}

func TestVerify_refusesTheOlderStepAfterTheNewer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(5 * time.Minute)
		older, newer := w.code(t, seed, totp.Default, -1), w.code(t, seed, totp.Default, 0)
		p, err := w.Verify(t.Context(), c, newer)
		requireRight(t, p, err)
		p, err = w.Verify(t.Context(), c, older)
		requireWrong(t, p, err)

		w.now.Advance(5 * time.Minute)
		older, newer = w.code(t, seed, totp.Default, -1), w.code(t, seed, totp.Default, 0)
		p, err = w.Verify(t.Context(), c, older)
		requireRight(t, p, err)
		p, err = w.Verify(t.Context(), c, newer)
		requireRight(t, p, err)
	})
}

func TestVerify_refusesTheCodeThatConfirmedTheFactor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		e, err := w.Enrol(t.Context(), c, "", totp.Default, "", nil)
		require.NoError(t, err)
		code := w.code(t, seedOf(t, e), totp.Default, 0)
		f, err := w.Confirm(t.Context(), c, e.FactorID, code)
		require.NoError(t, err)
		require.Equal(t, factor.Active, f.Factor.Status)
		p, err := w.Verify(t.Context(), c, code)
		requireWrong(t, p, err)
		w.now.Advance(30 * time.Second)
		p, err = w.Verify(t.Context(), c, code)
		requireWrong(t, p, err)
	})
}

// A code is valid in two steps. After its use it is refused in every second of both, and later.
func TestVerify_refusesAUsedCodeInEverySecondOfItsLife(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(30 * time.Second)
		code := w.code(t, seed, totp.Default, 0)
		p, err := w.Verify(t.Context(), c, code)
		requireRight(t, p, err)
		for second := range 121 {
			p, err := w.Verify(t.Context(), c, code)
			requireWrong(t, p, err)
			w.exec(t, "UPDATE subjects SET wrong = 0, locked_until = 0, full_at = 0") // the lock is another test's matter
			w.now.Advance(time.Second)
			_ = second
		}
	})
}

func TestVerify_refusesOtherSpellingsOfTheCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		code := w.code(t, seed, totp.Default, 0)
		wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
		for _, spelling := range []string{"", " " + code, code + " ", code + "\n", "\u00a0" + code, wide, "+" + code, "0" + code, "00" + code, code[:5] + "\x00", strings.Repeat("1", 1<<20)} {
			p, err := w.Verify(t.Context(), c, spelling)
			requireWrong(t, p, err)
			w.exec(t, "UPDATE subjects SET wrong = 0, locked_until = 0, full_at = 0")
		}
		p, err := w.Verify(t.Context(), c, code)
		requireRight(t, p, err)
	})
}

func TestVerify_answersASubjectWithoutFactorsLikeAWrongCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, nobody := someone(), someone()
		_, seed := w.enrolled(t, c, totp.Default)
		_, wrong := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
		_, none := w.Verify(t.Context(), nobody, "123456")
		_, otherDigits := w.Verify(t.Context(), c, "12345678")
		require.Equal(t, wrong, none)
		require.Equal(t, wrong, otherDigits)
		require.Equal(t, int64(1), w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", nobody.Subject), "the same durable work is done")
		events := w.events(t)
		require.Equal(t, "no_factor", events[0].Detail["reason"])
		require.Equal(t, "wrong", events[2].Detail["reason"])
		for range factor.RoundCap - 1 {
			_, err := w.Verify(t.Context(), nobody, "123456")
			require.ErrorIs(t, err, factor.ErrInvalidCode)
		}
		_, err := w.Verify(t.Context(), nobody, "123456")
		requireLocked(t, err, "a lock, too, does not tell who has a factor")
	})
}

// The success of one user must not deny that of another: their codes can be equal in the same second.
func TestVerify_keepsSubjectsApart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		sameSeed := string(make([]byte, totp.SeedSize))
		twin := w.service(t, w.store, zeros{})
		a, b := someone(), someone()
		for _, c := range []factor.Caller{a, b} {
			e, err := twin.Enrol(t.Context(), c, "", totp.Default, "", nil)
			require.NoError(t, err)
			_, err = twin.Confirm(t.Context(), c, e.FactorID, w.code(t, []byte(sameSeed), totp.Default, -1))
			require.NoError(t, err)
		}
		code := w.code(t, []byte(sameSeed), totp.Default, 0)
		for _, c := range []factor.Caller{a, b} {
			p, err := twin.Verify(t.Context(), c, code)
			requireRight(t, p, err)
		}
	})
}

func TestVerify_triesEveryFactorOfTheSubject(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, phoneSeed := w.enrolled(t, c, totp.Default)
		_, tabletSeed := w.enrolled(t, c, totp.Default)
		_, tokenSeed := w.enrolled(t, c, totp.Parameters{Algorithm: totp.SHA512, Digits: 8, Period: 60})
		for i := range 12 {
			w.now.Advance(time.Minute)
			p, err := w.Verify(t.Context(), c, w.code(t, phoneSeed, totp.Default, 0))
			requireRight(t, p, err)
			require.Zero(t, w.number(t, "SELECT wrong + locked_until FROM subjects WHERE subject = ?", c.Subject), "round %d", i)
		}
		p, err := w.Verify(t.Context(), c, w.code(t, tabletSeed, totp.Default, 0))
		requireRight(t, p, err)
		p, err = w.Verify(t.Context(), c, w.code(t, tokenSeed, totp.Parameters{Algorithm: totp.SHA512, Digits: 8, Period: 60}, 0))
		requireRight(t, p, err)

		p, err = w.Verify(t.Context(), c, w.wrong(t, phoneSeed, totp.Default))
		requireWrong(t, p, err)
		require.Equal(t, int64(1), w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", c.Subject))
	})
}

func TestVerify_acceptsNoUsedCodeAgainWhenTheClockJumps(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(time.Hour)
		used := w.code(t, seed, totp.Default, 0)
		p, err := w.Verify(t.Context(), c, used)
		requireRight(t, p, err)
		w.now.Advance(-time.Minute)
		p, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireWrong(t, p, err) // unused, but older than what was used
		w.now.Advance(-59 * time.Minute)
		for step := int64(-1); step <= 0; step++ {
			p, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, step))
		}
		requireRight(t, p, err) // the clock was an hour ahead: nobody waits for that hour
		w.now.Advance(2 * time.Hour)
		p, err = w.Verify(t.Context(), c, used)
		requireWrong(t, p, err)
		p, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
		w.now.Advance(-time.Hour)
		p, err = w.Verify(t.Context(), c, used)
		requireWrong(t, p, err)
	})
}

// A subject with wrong codes from while the clock was a year ahead is not locked out for that year, and the log says what was corrected.
func TestSweep_takesAwayMarksOfAClockThatWasAhead(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(365 * 24 * time.Hour)
		p, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
		c.Session = "ses_2"
		for range factor.RoundCap {
			_, err := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
			require.ErrorIs(t, err, factor.ErrInvalidCode)
		}
		_, err = w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
		requireLocked(t, err)
		ahead, err := w.store.Sweep(t.Context(), w.now.Now())
		require.NoError(t, err)
		require.Zero(t, ahead, "an honest lock stays")
		w.now.Advance(-365*24*time.Hour + time.Minute)
		factors, err := w.List(t.Context(), c.Subject, factor.Cursor{}, 10)
		require.NoError(t, err)
		require.Equal(t, factor.Active, factors[0].Status)
		p, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err) // even before the sweep
		ahead = w.now.Now().Add(365 * 24 * time.Hour).UnixMicro()
		w.exec(t, "UPDATE factors SET last_step = 1000000000000")
		w.exec(t, "UPDATE subjects SET locked_until = ?, full_at = ?", ahead, ahead)
		for _, want := range []int64{1, 0} {
			clamped, err := w.store.Sweep(t.Context(), w.now.Now())
			require.NoError(t, err)
			require.Equal(t, want, clamped)
		}
	})
}

func TestVerify_doesNotOpenARowCopiedFromAnotherSubject(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		thief, victim := someone(), someone()
		_, seed := w.enrolled(t, thief, totp.Default)
		w.enrolled(t, victim, totp.Default)
		w.exec(t, "UPDATE factors SET sealed_seed = (SELECT sealed_seed FROM factors WHERE subject = ?) WHERE subject = ?", thief.Subject, victim.Subject)
		p, err := w.Verify(t.Context(), victim, w.code(t, seed, totp.Default, 0))
		require.Error(t, err)
		require.Zero(t, p)
		require.Equal(t, problem.InternalError, problem.From(err).Code, "tampering is no wrong code")

		w.exec(t, "UPDATE factors SET subject = ? WHERE subject = ?", victim.Subject, thief.Subject) // the whole row
		p, err = w.Verify(t.Context(), victim, w.code(t, seed, totp.Default, 0))
		require.Error(t, err)
		require.Zero(t, p)
	})
}

func TestVerify_refusesStepsUpToARestore(t *testing.T) {
	for _, p := range []totp.Parameters{totp.Default, {Algorithm: totp.SHA1, Digits: 8, Period: 60}} {
		t.Run(fmt.Sprintf("%d s", p.Period), func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				c := someone()
				_, seed := w.enrolled(t, c, p)
				period := time.Duration(p.Period) * time.Second
				w.now.Advance(10*period + period/2)
				w.exec(t, "UPDATE restore_mark SET not_before = ?", w.now.Now().UnixMicro())
				for _, offset := range []int64{-1, 0} {
					proof, err := w.Verify(t.Context(), c, w.code(t, seed, p, offset))
					requireWrong(t, proof, err)
				}
				require.Equal(t, int64(2), w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", c.Subject))
				w.now.Advance(period / 2)
				proof, err := w.Verify(t.Context(), c, w.code(t, seed, p, 0))
				requireRight(t, proof, err)
			})
		})
	}
}

func TestVerify_needsASession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		c.Session = ""
		_, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		require.ErrorIs(t, err, factor.ErrNoSession)
		require.Zero(t, w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", c.Subject), "no code is burnt for nothing")
	})
}

func TestVerify_recordsRefusalsOfCallersWhoHangUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		ctx, cancel := context.WithCancel(t.Context())
		hangUp := w.service(t, w.store, strings.NewReader(strings.Repeat("d", totp.SeedSize)))
		hangUp.Sealer = opening{w.key, cancel}
		_, err := hangUp.Verify(ctx, c, w.wrong(t, seed, totp.Default))
		require.ErrorIs(t, err, factor.ErrInvalidCode)
		require.Equal(t, "denied", w.events(t)[0].Outcome)
	})
}

// opening runs a function while a code is compared.
type opening struct {
	factor.Sealer
	do func()
}

func (o opening) Open(sealed, aad []byte) ([]byte, error) {
	o.do()
	return o.Sealer.Open(sealed, aad)
}

// A verdict that can't be stored is not returned: the response does not tell whether the code was right.
func TestVerify_tellsNothingWhenItsCommitFails(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		faults := map[string]func() (mend func()){
			"the trail can't be written": func() func() {
				w.exec(t, "ALTER TABLE audit_events RENAME TO audit_events_gone")
				return func() { w.exec(t, "ALTER TABLE audit_events_gone RENAME TO audit_events") }
			},
			"the comparison panics": func() func() {
				w.Service.Sealer = opening{w.key, func() { panic("while the code is compared") }}
				return func() { w.Service.Sealer = w.key }
			},
		}
		for name, fault := range faults {
			mend := fault()
			_, wrong := w.Verify(t.Context(), c, w.wrong(t, seed, totp.Default))
			_, right := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
			mend()
			require.Error(t, right, name)
			require.NotErrorIs(t, right, factor.ErrInvalidCode, name)
			require.EqualError(t, right, wrong.Error(), name)
			require.Zero(t, w.number(t, "SELECT wrong FROM subjects WHERE subject = ?", c.Subject), name)
		}
		p, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
	})
}

func TestAudit_holdsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		e, err := w.Enrol(t.Context(), c, "phone", totp.Default, "", nil)
		require.NoError(t, err)
		seed := seedOf(t, e)
		first, second := w.code(t, seed, totp.Default, -1), w.code(t, seed, totp.Default, 0)
		_, err = w.Confirm(t.Context(), c, e.FactorID, first)
		require.NoError(t, err)
		p, err := w.Verify(t.Context(), c, second)
		requireRight(t, p, err)
		_, err = w.Verify(t.Context(), c, second)
		require.ErrorIs(t, err, factor.ErrInvalidCode)
		text := fmt.Sprintf("%+v", w.events(t))
		for _, secret := range []string{e.Secret, p.Token, `:` + first, `:` + second, string(seed)} {
			require.NotContains(t, text, secret)
		}
		require.Len(t, w.events(t), 4)
		require.Equal(t, "used", w.events(t)[0].Detail["reason"])
	})
}

// A code that was accepted while the clock was ahead is not accepted again when its time comes, although the sweep has cleared the last step.
func TestVerify_refusesAfterTheSweepWhatAClockThatWasAheadHasAccepted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		w.now.Advance(10 * time.Hour)
		used := w.code(t, seed, totp.Default, 0)
		p, err := w.Verify(t.Context(), c, used)
		requireRight(t, p, err)
		w.now.Advance(-10 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, "clampFactors", w.events(t)[0].Action)
		for _, at := range []time.Duration{10 * time.Hour, 30 * time.Second} { // its own step, and the one after, in which it is still valid
			w.now.Advance(at)
			require.NoError(t, w.Sweep(t.Context()))
			p, err = w.Verify(t.Context(), c, used)
			requireWrong(t, p, err)
		}
		require.Equal(t, "used", w.events(t)[0].Detail["reason"])
	})
}
