package password

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

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

// The hash for an unknown user costs the same as any other, whatever else the machine does.
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

// Keyboards compose letters differently: one sends ü as one code point, another u and a mark. Both are the same password.
func TestVerify_takesBothSpellingsOfOnePassword(t *testing.T) {
	const password = "grüße aus zürich heute"
	nfc, nfd := norm.NFC.String(password), norm.NFD.String(password)
	require.NotEqual(t, nfc, nfd)
	h := NewHasher()
	for _, stored := range []string{nfc, nfd} {
		phc, err := h.Hash(t.Context(), stored)
		require.NoError(t, err)
		require.True(t, h.Verify(nfc, phc))
		require.True(t, h.Verify(nfd, phc))
		require.False(t, h.Verify("gruße aus zurich heute", phc), "a mark is part of the password")
	}
	require.False(t, h.Verify(nfd, ""), "nobody")
}

// Version 0.1 hashed the bytes as typed. Passwords from then still work if they are typed the same way.
func TestVerify_takesHashesOfVersion01(t *testing.T) {
	nfc, nfd := norm.NFC.String("grüße aus zürich heute"), norm.NFD.String("grüße aus zürich heute")
	h := NewHasher()
	require.True(t, h.Verify(nfc, encode([]byte(nfc))))
	require.True(t, h.Verify(nfd, encode([]byte(nfc))))
	require.True(t, h.Verify(nfd, encode([]byte(nfd))))
	require.False(t, h.Verify(nfd+"!", encode([]byte(nfd))))
	require.False(t, h.Verify(nfd, ""), "nobody")
}

// A free turn is given even if the waiting time is already over; a taken one is not.
func TestTurn_givesWhatIsFree(t *testing.T) {
	turns := make(chan struct{}, 1)
	for range 200 {
		release, err := Turn(t.Context(), turns, 0)
		require.NoError(t, err)
		_, err = Turn(t.Context(), turns, 0)
		require.ErrorIs(t, err, domain.Overloaded)
		release()
	}
}
