package verify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func TestVerify_readsTheClaims(t *testing.T) {
	i := newIssuer(t, "k1")
	p, err := i.verifier().Verify(t.Context(), i.token("k1", jwt.MapClaims{"tenant": "globe", "preferred_username": "ada", "amr": []string{"pwd"}}))
	require.NoError(t, err)
	require.Equal(t, &Principal{Subject: "usr_1", Kind: User, Username: "ada", ClientID: "fountain", SessionID: "ses_1", TokenID: "tok_1", Tenant: "globe",
		Scopes: []string{"notes:read", "notes:delete"}, Roles: []string{"reader"}, ACR: "aal1", AMR: []string{"pwd"}, Epoch: 3,
		AuthTime: noon.Add(-time.Minute), IssuedAt: noon, Expires: noon.Add(10 * time.Minute)}, p)
}

// The whole corpus of attacks is in internal/auth/consumer_test.go. This test has what only this package refuses.
func TestVerify_wantsExactlyItsOwnAudience(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	for name, aud := range map[string]any{
		"none": nil, "empty": []string{}, "another": "kms", "two": []string{"notes", "kms"}, "itself twice": []string{"notes", "notes"}, "a prefix": "note", "longer": "notes2", "in another case": "Notes",
	} {
		_, err := v.Verify(t.Context(), i.token("k1", jwt.MapClaims{"aud": aud}))
		require.Equal(t, "invalid_token", code(err), name)
	}
	_, err := v.Verify(t.Context(), i.token("k1", jwt.MapClaims{"aud": "notes"}))
	require.NoError(t, err)
}

func TestVerify_fetchesNothingForWhatCannotBeAToken(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	_, rest, _ := strings.Cut(i.token("k1", nil), ".")
	for _, head := range []string{`{"alg":"none","kid":"k1","typ":"at+jwt"}`, `{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"k1","typ":"JWT"}`,
		`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","jku":"http://evil.example"}`, `{"alg":"EdDSA","kid":"","typ":"at+jwt"}`, `[]`, `{`} {
		_, err := v.Verify(t.Context(), base64.RawURLEncoding.EncodeToString([]byte(head))+"."+rest)
		require.Equal(t, "invalid_token", code(err), head)
	}
	for _, token := range []string{"", "a.b", "...", strings.Repeat(".", 1<<20), strings.Repeat("a", maxToken) + ".b.c"} {
		_, err := v.Verify(t.Context(), token)
		require.Equal(t, "invalid_token", code(err))
	}
	require.Zero(t, i.fetched())
}

func TestVerify_saysThatAnAPIKeyIsNoToken(t *testing.T) {
	i := newIssuer(t, "k1")
	_, err := i.verifier().Verify(t.Context(), keyText)
	require.Equal(t, "invalid_token", code(err))
	require.Contains(t, err.(*Problem).Detail, "POST /kms/v1/oauth2/token")
	require.NotContains(t, err.Error(), "secret")
}

func TestNew_refusesWhatCannotWork(t *testing.T) {
	i := newIssuer(t)
	for name, change := range map[string]func(*Config){
		"no issuer": func(c *Config) { c.Issuer = "" }, "issuer no URL": func(c *Config) { c.Issuer = "fountain" }, "issuer with query": func(c *Config) { c.Issuer += "?a" },
		"issuer with password": func(c *Config) { c.Issuer = "https://a:b@c.example" }, "no audience": func(c *Config) { c.Audience = "" },
		"audience with quotes": func(c *Config) { c.Audience = `a"b` }, "keys in a file": func(c *Config) { c.JWKSURL = "file:///x" },
		"feed without key": func(c *Config) { c.Feed = &Feed{} },
		"feed at no URL":   func(c *Config) { c.Feed = &Feed{APIKey: func() (string, error) { return "", nil }, KMSURL: "kms"} },
	} {
		c := i.config()
		change(&c)
		_, err := New(c)
		require.Error(t, err, name)
	}
}

// Without the feed a token outlives its session. The operator must know that.
func TestNew_saysAloudThatTheFeedIsNotFollowed(t *testing.T) {
	i := newIssuer(t, "k1")
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	i.verifier(func(c *Config) { c.Log = log })
	require.Contains(t, out.String(), "level=WARN")
	require.Contains(t, out.String(), "the revocation feed is not followed")
	out.Reset()
	i.verifier(func(c *Config) { c.Log, c.Feed = log, &Feed{APIKey: func() (string, error) { return keyText, nil }} })
	require.Empty(t, out.String())
}

// A verified token is checked again each time. It is refused when it has expired, its key is gone, or it was revoked.
func TestVerify_looksAgainAtATokenThatItKnows(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	token := i.token("k1", nil)
	first, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	first.Scopes, first.Subject = nil, "changed by a caller"
	second, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.NotEqual(t, first.Subject, second.Subject)
	require.NotEmpty(t, second.Scopes)
	require.NotNil(t, v.known.get(token))
	end := "AA"
	if strings.HasSuffix(token, end) { // one of 256 signatures ends in this way
		end = "BA"
	}
	for _, other := range []string{token + "a", token[:len(token)-1], strings.ToUpper(token), token[:len(token)-2] + end} {
		_, err := v.Verify(t.Context(), other)
		require.Error(t, err)
		require.Nil(t, v.known.get(other), "only what was verified is kept")
	}
	now := v.config.Now
	for _, at := range []time.Duration{-time.Hour, 24 * time.Hour} {
		v.config.Now = func() time.Time { return now().Add(at) }
		_, err := v.Verify(t.Context(), token)
		require.Error(t, err, at)
	}
	v.config.Now = now
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	v.known.entries[token].key = ed25519.PublicKey(make([]byte, ed25519.PublicKeySize))
	again, _ := v.again(t.Context(), token)
	require.Nil(t, again, "another key has its id now")

	for n := range 2 * maxKnown {
		v.known.put(fmt.Sprint("token ", n), &verified{})
	}
	require.LessOrEqual(t, len(v.known.entries), maxKnown)
	v.known.put("large", &verified{})
	v.known.put(strings.Repeat("a", maxKnownBytes), &verified{})
	require.Len(t, v.known.entries, 1)
}

// BenchmarkVerify measures a request with a token that was verified before.
func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b, "k1")
	v := i.verifier()
	token := i.token("k1", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	i := newIssuer(f, "k1")
	v := i.verifier()
	good := i.token("k1", nil)
	require.NoError(f, v.Ready(f.Context()))
	head, rest, _ := strings.Cut(good, ".")
	for _, token := range []string{good, "", "a.b.c", head + "." + head + "." + head, rest, good + ".", good[:len(good)-1], keyText} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); err == nil && token != good {
			t.Fatalf("a token that nobody signed is accepted: %q", token)
		}
	})
}
