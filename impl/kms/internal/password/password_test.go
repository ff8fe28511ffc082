package password

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
)

func TestHash_verifiesItsPasswordAndNoOther(t *testing.T) {
	h := NewHasher()
	phc, err := h.Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$"), phc)
	again, err := h.Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	require.NotEqual(t, phc, again, "every hash has its salt")
	require.True(t, h.Verify("correct horse battery staple", phc))
	for _, wrong := range []string{"", "correct horse battery stapl", "correct horse battery staple ", "Correct horse battery staple"} {
		require.False(t, h.Verify(wrong, phc), wrong)
	}
	for _, broken := range []string{"$", "$argon2id$v=19$m=19456,t=2,p=1$AAAA", strings.Replace(phc, "argon2id", "argon2i", 1),
		strings.Replace(phc, "m=19456", "m=99999999", 1), strings.Replace(phc, "t=2", "t=0", 1), strings.Replace(phc, "p=1", "p=0", 1)} {
		require.False(t, h.Verify("correct horse battery staple", broken), broken)
	}
}

// The hash that stands for nobody costs what any other does, whatever the machine does meanwhile.
func TestVerify_doesTheSameWorkForNobody(t *testing.T) {
	h := NewHasher()
	phc, err := h.Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	somebody, err := decode(phc)
	require.NoError(t, err)
	nobody, err := decode(h.dummy)
	require.NoError(t, err)
	require.Equal(t, []any{somebody.memory, somebody.time, somebody.threads, len(somebody.salt), len(somebody.sum)},
		[]any{nobody.memory, nobody.time, nobody.threads, len(nobody.salt), len(nobody.sum)})
	require.False(t, h.Verify("", ""))
	require.False(t, h.Verify("correct horse battery staple", ""))
}

func TestAcquire_boundsHowManyHashAtOnce(t *testing.T) {
	h := NewHasher()
	var releases []func()
	for range runtime.GOMAXPROCS(0) {
		release, err := h.Acquire(t.Context())
		require.NoError(t, err)
		releases = append(releases, release)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Acquire(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = h.Acquire(t.Context())
	require.ErrorIs(t, err, domain.Overloaded)
	releases[0]()
	release, err := h.Acquire(t.Context())
	require.NoError(t, err)
	release()
}

func TestCheck_refusesWhatEverybodyTries(t *testing.T) {
	for _, weak := range []string{
		"short", "elevenchars", "password1234", "Password2026!", "PASSWORDPASSWORD", "qwertyuiop123", "aaaaaaaaaaaaaa", "abababababab", "abcabcabcabc", "12341234123412",
		"123456789012", "234567890123", "abcdefghijkl", "zyxwvutsrqpo", "1q2w3e4r5t6y", "administrator1", "fountainfountain", "tobeornottobe", strings.Repeat("x", 1025),
		"ada.lovelace1", "1ada.lovelace!",
	} {
		err := Check(weak, "ada.lovelace")
		require.ErrorIs(t, err, domain.WeakPassword, weak)
		require.NotContains(t, err.Error(), weak)
	}
	for _, good := range []string{
		"correct horse battery staple", "a quiet harbour at dawn", "ünïcödé is fine too", strings.Repeat("long enough ", 80), "adaptable adages", "my ada.lovelace book",
		strings.Repeat("ab", 12) + "x",
	} {
		require.NoError(t, Check(good, "ada.lovelace"), good)
	}
}
