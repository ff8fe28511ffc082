package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
)

// ends has the revocations of a test.
type ends struct {
	tokens map[string]bool
	away   bool
}

func (e *ends) Revoked(p *Principal) (bool, error) {
	if e.away {
		return false, ErrUnknownRevocations
	}
	return e.tokens[p.TokenID], nil
}

// counted counts the lookups of each key, and can lose a key.
type counted struct {
	StaticKeys
	lost bool
}

func (c *counted) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	if c.lost {
		return "", nil, ErrUnknownKey
	}
	return c.StaticKeys.Key(ctx, kid)
}

// cached is a verifier with its surroundings and a way to sign tokens.
type cached struct {
	verifier *Verifier
	ends     *ends
	keys     *counted
	clock    *clock.Fake
	issuer   string
	key      ed25519.PrivateKey
}

func newCached(tb testing.TB) *cached {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(tb, err)
	c := &cached{
		ends: &ends{tokens: map[string]bool{}}, keys: &counted{StaticKeys: StaticKeys{"k": {"EdDSA", public}}},
		clock: clock.NewFake(time.Unix(1_800_000_000, 0)), issuer: "https://issuer.test", key: private,
	}
	c.verifier = NewVerifier(VerifierConfig{Issuer: func() string { return c.issuer }, Keys: c.keys, Revocations: c.ends, Clock: c.clock})
	return c
}

func (c *cached) sign(tb testing.TB, jti, scope string, audience ...string) string {
	tb.Helper()
	now := c.clock.Now()
	token, err := Sign(TypeAccess, "k", "EdDSA", c.key, &Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: c.issuer, Subject: "usr_1", Audience: audience, ID: jti, IssuedAt: jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(10 * time.Minute)),
		},
		ClientID: "fountain", Scope: scope, Roles: []string{"editor"}, Principal: KindUser, SessionID: "ses_1", ACR: "aal1", AMR: []string{"pwd"}, AuthTime: now.Unix(),
	})
	require.NoError(tb, err)
	return token
}

// Each hit checks again everything that can have changed since the token was verified.
func TestCache_forgivesNothing(t *testing.T) {
	for name, change := range map[string]struct {
		do   func(c *cached)
		want problem.Code
	}{
		"expired":                      {func(c *cached) { c.clock.Advance(10*time.Minute + Leeway) }, problem.InvalidToken},
		"the clock went back":          {func(c *cached) { c.clock.Advance(-time.Hour) }, problem.InvalidToken},
		"revoked":                      {func(c *cached) { c.ends.tokens["jti"] = true }, problem.InvalidToken},
		"revocations are unknown":      {func(c *cached) { c.ends.away = true }, problem.Unavailable},
		"the key is published no more": {func(c *cached) { c.keys.lost = true }, problem.InvalidToken},
		"the issuer is another":        {func(c *cached) { c.issuer = "https://other.test" }, problem.InvalidToken},
		"another key has the kid": {func(c *cached) {
			public, _, _ := ed25519.GenerateKey(nil) // never fails (crypto/rand)
			c.keys.StaticKeys["k"] = PublicKey{"EdDSA", public}
		}, problem.InvalidToken},
	} {
		c := newCached(t)
		token := c.sign(t, "jti", "a", "kms", "search")
		for range 2 {
			_, err := c.verifier.Verify(t.Context(), token, "kms")
			require.NoError(t, err, name)
		}
		require.NotNil(t, c.verifier.cache.get(token), name)
		change.do(c)
		_, err := c.verifier.Verify(t.Context(), token, "kms")
		require.ErrorIs(t, err, change.want, name)
	}
}

func TestCache_knowsATokenByAllOfIt(t *testing.T) {
	c := newCached(t)
	token := c.sign(t, "jti", "a", "kms")
	_, err := c.verifier.Verify(t.Context(), token, "kms")
	require.NoError(t, err)
	_, err = c.verifier.Verify(t.Context(), token, "search")
	require.ErrorIs(t, err, problem.InvalidToken, "it is for the kms alone")
	for i := range token {
		if token[i] == '.' {
			continue
		}
		other := token[:i] + string(token[i]^1) + token[i+1:]
		if _, err := c.verifier.Verify(t.Context(), other, "kms"); err == nil {
			t.Fatalf("character %d was changed", i)
		}
		require.Nil(t, c.verifier.cache.get(other), "only verified tokens are kept")
	}
	twin := c.sign(t, "jti", "a b", "kms") // an equal jti does not make it the same token
	p, err := c.verifier.Verify(t.Context(), twin, "kms")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, p.Scopes)
	p, err = c.verifier.Verify(t.Context(), token, "kms")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, p.Scopes)
}

func TestCache_isBounded(t *testing.T) {
	var c cache
	entry := &verified{principal: &Principal{}}
	put := func(n int, size int) {
		for i := range n {
			c.put(strings.Repeat("x", size-8)+strings.Repeat(string(rune('a'+i%26)), 3)+string(rune('A'+i/26%26))+string(rune('a'+i/676%26))+string(rune('a'+i/17576%26))+string(rune('a'+i%23))+string(rune('a'+i%19)), entry)
		}
	}
	put(200_000, 64)
	entries, bytes := 0, 0
	for i := range c.shards {
		require.LessOrEqual(t, len(c.shards[i].entries), cacheShardEntries)
		entries, bytes = entries+len(c.shards[i].entries), bytes+c.shards[i].bytes
	}
	require.Positive(t, entries)
	put(10_000, MaxTokenSize)
	for i := range c.shards {
		sum := 0
		for token := range c.shards[i].entries {
			sum += len(token)
		}
		require.LessOrEqual(t, sum, cacheShardBytes)
		require.Equal(t, sum, c.shards[i].bytes, "what is counted is what is kept")
	}
}

func BenchmarkVerify_cached(b *testing.B) {
	c := newCached(b)
	token := c.sign(b, "jti", "elements:read elements:write documents:search", "kms", "search", "sequence")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.verifier.Verify(b.Context(), token, "sequence"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify_uncached(b *testing.B) {
	c := newCached(b)
	token := c.sign(b, "jti", "elements:read elements:write documents:search", "kms", "search", "sequence")
	b.ReportAllocs()
	for b.Loop() {
		c.verifier.cache.drop(token)
		if _, err := c.verifier.Verify(b.Context(), token, "sequence"); err != nil {
			b.Fatal(err)
		}
	}
}
