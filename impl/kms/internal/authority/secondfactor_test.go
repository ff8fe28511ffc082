package authority

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

func TestStrictest_takesTheStrictestOfEachPart(t *testing.T) {
	codes, keys := SecondFactor{Factors: []string{"passkey", "totp"}}, SecondFactor{Factors: []string{"passkey", "sms"}}
	require.Equal(t, SecondFactor{}, Strictest())
	require.Equal(t, SecondFactor{Always: true}, Strictest(SecondFactor{}, SecondFactor{Always: true, Version: 3}))
	require.Equal(t, SecondFactor{Factors: []string{"passkey"}}, Strictest(codes, SecondFactor{}, keys))
	require.Equal(t, []string{"passkey", "totp"}, codes.Factors, "what was given is not changed")
	require.Equal(t, SecondFactor{MaxAge: time.Minute}, Strictest(SecondFactor{MaxAge: time.Hour}, SecondFactor{}, SecondFactor{MaxAge: time.Minute}))
	none := Strictest(SecondFactor{Factors: []string{"totp"}}, SecondFactor{Factors: []string{"passkey"}}, SecondFactor{})
	require.True(t, none.Unmeetable())
	for _, factor := range []string{"totp", "passkey", ""} {
		require.False(t, none.Accepts(factor), "what has nothing in common accepts nothing")
	}
	require.False(t, SecondFactor{}.Unmeetable())
	require.True(t, SecondFactor{}.Accepts("anything"))
}

func TestKeeps_endsWithTheAgeAndWithAClockThatWasAhead(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hour := SecondFactor{MaxAge: time.Hour}
	require.True(t, hour.Keeps(now.Add(-time.Hour), now))
	require.False(t, hour.Keeps(now.Add(-time.Hour-1), now))
	require.True(t, SecondFactor{}.Keeps(now.Add(-7*24*time.Hour), now))
	require.True(t, hour.Keeps(now.Add(auth.Leeway), now))
	require.False(t, SecondFactor{}.Keeps(now.Add(auth.Leeway+1), now))
}
