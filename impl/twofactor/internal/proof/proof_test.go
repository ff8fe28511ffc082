package proof

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
)

var at = time.Date(2026, 11, 23, 10, 1, 0, 987_000_000, time.UTC)

var claims = Claims{ID: "prf_1", Subject: "usr_1", Client: "fountain", Session: "ses_1", Factor: auth.FactorTOTP, At: at}

func newKey(t *testing.T) *Key {
	t.Helper()
	k, err := NewKey(rand.Reader)
	require.NoError(t, err)
	return k
}

func keysOf(k *Key) auth.StaticKeys {
	return auth.StaticKeys{k.ID(): {Algorithm: "EdDSA", Key: k.Public()}}
}

func TestSign_isTakenByTheKmsForOneMinute(t *testing.T) {
	k := newKey(t)
	token, err := k.Sign(claims)
	require.NoError(t, err)
	now := clock.NewFake(at)
	got, err := auth.VerifyProof(t.Context(), token, keysOf(k), now)
	require.NoError(t, err)
	require.Equal(t, "usr_1 fountain ses_1 prf_1 aal2 otp",
		strings.Join([]string{got.Subject, got.AuthorizedParty, got.SessionID, got.ID, got.ACR, got.AMR[0]}, " "))
	require.Equal(t, at.Unix(), got.AuthTime)
	require.Equal(t, claims.Expires(), got.ExpiresAt.UTC())
	require.Equal(t, Lifetime, got.ExpiresAt.Sub(got.IssuedAt.Time))
	now.Advance(Lifetime + auth.Leeway + time.Second)
	_, err = auth.VerifyProof(t.Context(), token, keysOf(k), now)
	require.ErrorIs(t, err, auth.ErrInvalidProof)
}

func TestSign_isNoAccessToken(t *testing.T) {
	k := newKey(t)
	token, err := k.Sign(claims)
	require.NoError(t, err)
	v := auth.NewVerifier(auth.VerifierConfig{Revocations: auth.NoRevocations{}, Issuer: func() string { return auth.ProofIssuer }, Keys: keysOf(k), Clock: clock.NewFake(at)})
	_, err = v.Verify(t.Context(), token, auth.ProofAudience)
	require.ErrorIs(t, err, problem.InvalidToken)
}

func TestSign_fillsTheHeaderAndNothingMore(t *testing.T) {
	k := newKey(t)
	token, err := k.Sign(claims)
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(t, err)
	var header map[string]string
	require.NoError(t, json.Unmarshal(raw, &header))
	require.Equal(t, map[string]string{"typ": "2fa-proof+jwt", "alg": "EdDSA", "kid": k.ID()}, header)
}

func TestSign_refusesAProofThatBindsNoSession(t *testing.T) {
	k := newKey(t)
	for _, without := range []func(*Claims){
		func(c *Claims) { c.ID = "" }, func(c *Claims) { c.Subject = "" }, func(c *Claims) { c.Client = "" }, func(c *Claims) { c.Session = "" }, func(c *Claims) { c.Factor = "" },
	} {
		c := claims
		without(&c)
		_, err := k.Sign(c)
		require.Error(t, err)
	}
}

func TestSignIn_isOfAPasskeyAloneAndNoProofOfASession(t *testing.T) {
	k, now := newKey(t), clock.NewFake(at)
	c := Claims{ID: "prf_1", Subject: "usr_1", Client: "fountain", Factor: auth.FactorPasskey, Methods: []string{"swk", "user"}, At: at}
	token, err := k.SignIn(c)
	require.NoError(t, err)
	got, err := auth.VerifySignInProof(t.Context(), token, keysOf(k), now)
	require.NoError(t, err)
	require.Equal(t, "usr_1 phr passkey", strings.Join([]string{got.Subject, got.ACR, got.Factor}, " "))
	_, err = auth.VerifyProof(t.Context(), token, keysOf(k), now)
	require.ErrorIs(t, err, auth.ErrInvalidProof)

	for _, change := range []func(*Claims){func(c *Claims) { c.Session = "ses_1" }, func(c *Claims) { c.Factor = auth.FactorTOTP }} {
		wrong := c
		change(&wrong)
		_, err := k.SignIn(wrong)
		require.Error(t, err)
	}
	c.Session = "ses_1"
	token, err = k.Sign(c)
	require.NoError(t, err)
	_, err = auth.VerifySignInProof(t.Context(), token, keysOf(k), now)
	require.ErrorIs(t, err, auth.ErrInvalidProof, "a proof of a session begins none")
	got, err = auth.VerifyProof(t.Context(), token, keysOf(k), now)
	require.NoError(t, err)
	require.Equal(t, "phr", got.ACR)
}

// RFC 8037, appendix A.3.
func TestID_isTheThumbprintOfRFC8037(t *testing.T) {
	require.Equal(t, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
}

func TestFromSeed_givesTheSameKey(t *testing.T) {
	k := newKey(t)
	again, err := FromSeed(k.Seed())
	require.NoError(t, err)
	require.Equal(t, k.ID(), again.ID())
	_, err = FromSeed(k.Seed()[1:])
	require.Error(t, err)
}

func TestNewKey_failsOnAShortRead(t *testing.T) {
	_, err := NewKey(bytes.NewReader(make([]byte, 31)))
	require.Error(t, err)
}
