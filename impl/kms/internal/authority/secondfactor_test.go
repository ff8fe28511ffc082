package authority

import (
	"slices"
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

// Sent codes complete a sign-in only if every role names their type: a role without a policy names none.
func TestAcceptsAtSignIn_takesSentCodesWhereEveryRoleNamesThem(t *testing.T) {
	named, all := SecondFactor{Factors: []string{"email", "sms", "totp"}}, SecondFactor{Always: true}
	for name, c := range map[string]struct {
		policies map[string]SecondFactor
		roles    []string
		want     []string // of those below
	}{
		"no policy":                   {nil, []string{"editor"}, []string{"totp", "passkey", "recovery_code"}},
		"a policy without a list":     {map[string]SecondFactor{"editor": all}, []string{"editor"}, []string{"totp", "passkey", "recovery_code"}},
		"a list":                      {map[string]SecondFactor{"editor": named}, []string{"editor"}, []string{"totp", "email", "sms"}},
		"another role says nothing":   {map[string]SecondFactor{"editor": named}, []string{"editor", "reader"}, []string{"totp"}},
		"another role names no list":  {map[string]SecondFactor{"editor": named, "admin": all}, []string{"admin", "editor"}, []string{"totp"}},
		"another role names one less": {map[string]SecondFactor{"editor": named, "admin": {Factors: []string{"sms", "totp"}}}, []string{"admin", "editor"}, []string{"totp", "sms"}},
		"a role of nobody":            {map[string]SecondFactor{"editor": named}, []string{"reader"}, []string{"totp", "passkey", "recovery_code"}},
		"no role":                     {map[string]SecondFactor{"editor": named}, nil, []string{"totp", "passkey", "recovery_code"}},
	} {
		asked := Together(c.roles, c.policies)
		for _, factor := range []string{"totp", "passkey", "recovery_code", "email", "sms", "webhook"} {
			require.Equal(t, slices.Contains(c.want, factor), asked.AcceptsAtSignIn(factor), "%s: %s", name, factor)
		}
	}
	mailbox := Together([]string{"editor"}, map[string]SecondFactor{"editor": named})
	mailbox.Mailbox = true
	require.Equal(t, []string{"sms", "totp"}, mailbox.AtSignIn())
	require.False(t, mailbox.Accepts("email"), "who can choose the password by mail has one factor")
	require.Equal(t, []string{"email", "sms", "totp"}, named.Factors, "what was given is not changed")
	require.Nil(t, Together([]string{"editor"}, nil).AtSignIn())
	mailOnly := map[string]SecondFactor{"editor": {Always: true, Factors: []string{"email"}}}
	require.False(t, Together([]string{"editor"}, mailOnly).Unmeetable())
	require.True(t, Together([]string{"editor", "reader"}, mailOnly).Unmeetable(), "nothing would end the sign-in")
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
