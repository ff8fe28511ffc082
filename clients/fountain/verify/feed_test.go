package verify

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func (i *issuer) following() *Verifier {
	return i.verifier(func(c *Config) { c.Feed = &Feed{APIKey: func() (string, error) { return keyText + "\n", nil }} })
}

// follow reads the feed once.
func follow(t testing.TB, v *Verifier) {
	t.Helper()
	require.NoError(t, v.feed.read(t.Context()))
}

func TestFeed_endsWhatItNames(t *testing.T) {
	for kind, c := range map[string]struct {
		id    string
		epoch int64
	}{"token": {"tok_1", 0}, "session": {"ses_1", 0}, "key": {"fountain", 0}, "owner": {"usr_1", 4}} {
		i := newIssuer(t, "k1")
		v := i.following()
		token := i.token("k1", nil)
		follow(t, v)
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err, kind)
		i.end(kind, c.id+"x", 9)
		i.end("owner", "usr_1", 3) // not above the token's epoch
		i.end("factors", "usr_1", 0)
		i.end("of a later release", "usr_1", 0)
		follow(t, v)
		_, err = v.Verify(t.Context(), token)
		require.NoError(t, err, kind)
		i.end(kind, c.id, c.epoch)
		follow(t, v)
		_, err = v.Verify(t.Context(), token)
		require.Equal(t, "invalid_token", code(err), kind)
	}
}

func TestFeed_aServiceWithoutSessionIsNotEndedByAnEmptyOne(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	i.end("session", "", 0)
	follow(t, v)
	_, err := v.Verify(t.Context(), i.token("k1", jwt.MapClaims{"principal": "service", "sub": "svc_1", "sid": nil}))
	require.NoError(t, err)
}

func TestFeed_admitsNobodyBeforeItIsReadAndAfterThirtySecondsOfSilence(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	w := call(t, v, "GET", "/v1/notes", "Bearer "+i.token("k1", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "nobody runs it")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Error(t, v.Ready(t.Context()))
	require.Equal(t, http.StatusOK, call(t, v, "GET", "/v1/health").Code, "public operations need no token")
	follow(t, v)
	require.NoError(t, v.Ready(t.Context()))
	i.set(func() { i.feedDown = true })
	i.advance(MaxSilence)
	require.Error(t, v.feed.read(t.Context()))
	require.Equal(t, http.StatusOK, call(t, v, "GET", "/v1/notes", "Bearer "+i.token("k1", nil)).Code)
	i.advance(time.Second)
	require.Equal(t, http.StatusServiceUnavailable, call(t, v, "GET", "/v1/notes", "Bearer "+i.token("k1", nil)).Code)
	i.set(func() { i.feedDown = false })
	follow(t, v)
	require.Equal(t, http.StatusOK, call(t, v, "GET", "/v1/notes", "Bearer "+i.token("k1", nil)).Code)
}

func TestFeed_knowsEverythingBeforeItCounts(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	for n := range pageSize {
		i.end("token", fmt.Sprint("other", n), 0)
	}
	i.end("token", "tok_1", 0)
	follow(t, v)
	_, err := v.Verify(t.Context(), i.token("k1", nil))
	require.Equal(t, "unavailable", code(err), "there is another page")
	follow(t, v)
	_, err = v.Verify(t.Context(), i.token("k1", nil))
	require.Equal(t, "invalid_token", code(err))
}

func TestFeed_beginsAgainWithAnotherFeed(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	i.end("token", "tok_1", 0)
	follow(t, v)
	i.set(func() { i.feed, i.endings = "F2", nil })
	i.end("token", "tok_2", 0)
	follow(t, v)
	_, err := v.Verify(t.Context(), i.token("k1", nil))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), i.token("k1", jwt.MapClaims{"jti": "tok_2"}))
	require.Equal(t, "invalid_token", code(err))
}

// A restored kms has another feed and other keys. Earlier revocations are dropped only when tokens of the old keys no
// longer verify.
func TestFeed_forgetsEndingsTogetherWithTheKeysOfBefore(t *testing.T) {
	i := newIssuer(t, "k1", "k2")
	i.set(func() { delete(i.keys, "k2") })
	v := i.following()
	follow(t, v)
	i.set(func() { i.keys["k2"] = ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", 1))) })
	ended := i.token("k1", nil)
	_, err := v.Verify(t.Context(), ended)
	require.NoError(t, err)
	i.end("token", "tok_1", 0)
	follow(t, v)
	_, err = v.Verify(t.Context(), ended)
	require.Equal(t, "invalid_token", code(err))

	before := i.token("k1", jwt.MapClaims{"jti": "tok_1"})
	i.set(func() {
		i.feed, i.endings = "F2", nil
		delete(i.keys, "k1")
		i.answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }
	})
	require.ErrorContains(t, v.feed.read(t.Context()), "key set")
	_, err = v.Verify(t.Context(), before)
	require.Equal(t, "invalid_token", code(err), "the old feed counts as long as the old keys do")
	i.set(func() { i.answer = nil })
	follow(t, v)
	_, err = v.Verify(t.Context(), before)
	require.Equal(t, "invalid_token", code(err))
	_, err = v.Verify(t.Context(), i.token("k2", nil))
	require.NoError(t, err)
}

func TestFeed_forgetsWhatEndsNothingAnyMore(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	i.end("token", "tok_1", 0)
	i.end("owner", "usr_1", 9)
	follow(t, v)
	v.feed.sweep(noon.Add(30 * time.Minute))
	require.Equal(t, 2, v.feed.held())
	v.feed.sweep(noon.Add(30*time.Minute + time.Second))
	require.Zero(t, v.feed.held())
}

// A feed with more revocations than fit in memory would revoke no more tokens. Then no token is accepted.
func TestFeed_isNotHeardWhenItIsTooLong(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	for n := range maxEnded {
		v.feed.byID["token"][fmt.Sprint(n)] = noon.Add(time.Hour)
	}
	v.feed.feed = i.feed
	i.end("token", "one more", 0)
	require.ErrorIs(t, v.feed.read(t.Context()), errTooMany)
	_, err := v.Verify(t.Context(), i.token("k1", nil))
	require.Equal(t, "unavailable", code(err))
}

func TestFeed_keepsItsTokenAndTradesTheKeyAgain(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	for range 3 {
		follow(t, v)
	}
	require.Equal(t, 1, i.trades)
	i.advance(10 * time.Minute)
	follow(t, v)
	require.Equal(t, 2, i.trades, "two thirds of its life are over")
	i.set(func() { i.refusal = http.StatusForbidden })
	require.ErrorContains(t, v.feed.read(t.Context()), "revocations:read")
	i.set(func() { i.refusal = 0 })
	follow(t, v)
	require.Equal(t, 3, i.trades, "the scope was given meanwhile")
}

func TestFeed_neverTellsTheKey(t *testing.T) {
	i := newIssuer(t, "k1")
	for name, key := range map[string]func() (string, error){
		"none": func() (string, error) { return "", errors.New("no file") }, "no key": func() (string, error) { return "a-secret", nil },
		"another": func() (string, error) { return "fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8Q_a-secret", nil },
	} {
		v := i.verifier(func(c *Config) { c.Feed = &Feed{APIKey: key} })
		err := v.feed.read(t.Context())
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "a-secret", name)
	}
}

func TestRun_followsUntilItsContextEnds(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.following()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	require.Eventually(t, func() bool { return v.Ready(t.Context()) == nil }, 5*time.Second, time.Millisecond)
	i.end("token", "tok_1", 0)
	token := i.token("k1", nil)
	require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), token); return code(err) == "invalid_token" }, 5*time.Second, time.Millisecond)
	i.set(func() { i.feedDown = true })
	cancel()
	require.NoError(t, <-done)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	require.NoError(t, i.verifier().Run(ctx), "without a feed there is nothing to do")
}
