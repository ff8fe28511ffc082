package factor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var begin = time.Unix(1_800_000_000, 0).UTC()

// person signs in with one of two phones, sometimes mistypes a code, and sometimes gives up.
type person struct {
	random *rand.Rand
	tries  Tries
	now    time.Time
	locked time.Duration // the longest time for which a right code was not looked at
}

// signIn tries until it succeeds or gives up. It waits for the end of a lock.
func (p *person) signIn(session string) {
	wrong := 0
	for p.random.Float64() < 0.25 && wrong < 8 { // a quarter of all codes is mistyped, or old by the time it is sent
		wrong++
	}
	for range wrong {
		p.wait()
		p.tries.fail(session, p.now)
		p.now = p.now.Add(10 * time.Second)
	}
	if p.random.Float64() < 0.02 {
		return // the phone is in the other room
	}
	p.wait()
	p.tries.succeed(session)
}

func (p *person) wait() {
	var refusal *TooManyAttempts
	for errors.As(p.tries.refusal(p.now), &refusal) {
		p.locked = max(p.locked, refusal.After)
		p.now = p.now.Add(refusal.After)
	}
}

// In a year with two phones, eight sign-ins a day and a quarter of the codes wrong, no person waits longer than the first locks, and the budget of guesses stays full. Every
// other person has one session on each phone all year, and the others have a new one at each sign-in.
func TestTries_anHonestPersonWithTwoPhonesIsNeverLockedOutForLong(t *testing.T) {
	for seed := range uint64(50) {
		p := &person{random: rand.New(rand.NewPCG(seed, 1)), now: begin}
		emptiest := time.Duration(0)
		for day := range 365 {
			for n := range 8 {
				p.now = begin.Add(time.Duration(day)*24*time.Hour + time.Duration(n)*90*time.Minute)
				session := []string{"ses_phone", "ses_tablet"}[p.random.IntN(2)]
				if seed%2 == 1 {
					session += fmt.Sprint(day, n)
				}
				p.signIn(session)
				emptiest = max(emptiest, p.tries.full(p.now).Sub(p.now))
			}
		}
		require.LessOrEqual(t, p.locked, Locks[1], "seed %d", seed)
		require.Less(t, emptiest, MaxGuesses/2*GuessEvery, "seed %d", seed)
	}
}

// A million guesses in a year, from many sessions and without a pause: no more are checked than the budget allows, and the owner, who signs in each day, does not
// give any of them back.
func TestTries_aGuesserGetsTheStoreAndTwoADay(t *testing.T) {
	var tries Tries
	looked := 0
	step := 365 * 24 * time.Hour / 1_000_000
	for i := range 1_000_000 {
		now := begin.Add(time.Duration(i) * step)
		if i%2740 == 0 {
			tries.succeed("ses_owner") // in a session that has given a right code before
		}
		if tries.refusal(now) == nil {
			looked++
			tries.fail("ses_thief", now)
		}
	}
	require.LessOrEqual(t, looked, MaxGuesses+2*365+1)
	require.Greater(t, looked, MaxGuesses+2*365-5)
}

// Every wait ends when the refusal says, and not a microsecond earlier.
func TestTries_saysWhenTheNextCodeIsLookedAt(t *testing.T) {
	var tries Tries
	now := begin
	for range 300 {
		var refusal *TooManyAttempts
		if errors.As(tries.refusal(now), &refusal) {
			require.LessOrEqual(t, refusal.After, max(GuessEvery, Locks[len(Locks)-1]))
			require.Error(t, tries.refusal(now.Add(refusal.After-time.Microsecond)))
			now = now.Add(refusal.After)
		}
		if tries.refusal(now) == nil {
			tries.fail("ses_1", now)
		}
	}
}

// Values that were set while the clock was a year ahead lock out no subject.
func TestTries_clampsMarksOfAClockThatWasAhead(t *testing.T) {
	var tries Tries
	for range RoundCap {
		tries.fail("ses_1", begin.Add(365*24*time.Hour))
	}
	require.NoError(t, tries.refusal(begin), "the lock")
	require.Equal(t, begin, tries.full(begin))
}
