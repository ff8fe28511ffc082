package signing

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io/fs"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

func TestState_isComputedFromTheClock(t *testing.T) {
	begin := time.Now()
	at := func(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }
	k := Key{PublishedAt: at(0), ActiveAt: at(10), RetiringAt: at(20), GoneAt: at(46)}
	for minute, want := range map[int]State{-1: Unpublished, 0: Next, 9: Next, 10: Active, 19: Active, 20: Retiring, 45: Retiring, 46: Gone, 1000: Gone} {
		require.Equal(t, want, k.State(at(minute)), minute)
	}
	require.Equal(t, Next, Key{PublishedAt: at(0)}.State(at(1_000_000)), "a next key waits for ever")
}

// RFC 8037, appendix A.3.
func TestThumbprint_isThatOfTheRFC(t *testing.T) {
	x, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	require.NoError(t, err)
	require.Equal(t, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", Thumbprint(ed25519.PublicKey(x)))
}

// memory is a table of signing keys in memory.
type memory struct {
	Rows    // what the ring alone does not ask for
	keys    []Key
	claimed bool
}

func (m *memory) SigningKeys(_ context.Context, _ store.Querier, at time.Time) (out []Key, err error) {
	for _, k := range m.keys {
		if k.GoneAt.IsZero() || k.GoneAt.After(at) {
			out = append(out, k)
		}
	}
	return out, nil
}

func (m *memory) InsertSigningKey(_ context.Context, _ *store.Tx, k Key) error {
	m.keys = append(m.keys, k)
	return nil
}

func (m *memory) Claim(context.Context, *store.Tx, string) (bool, error) {
	first := !m.claimed
	m.claimed = true
	return first, nil
}

// J9: step the clock through a rotation. At every moment the key that signs is published, what it has signed within the lifetime of a
// token verifies, and a key leaves the set exactly when it is gone.
func TestRing_setAndVerifierAgreeThroughARotation(t *testing.T) {
	ctx := t.Context()
	db, err := store.Open(ctx, store.Config{Dir: t.TempDir(), Name: "test", Migrations: []fs.FS{audit.Migrations}})
	require.NoError(t, err)
	defer db.Close()
	audittest.Open(t, db)
	sealer, err := seal.NewAEAD()
	require.NoError(t, err)
	now := clock.NewFake(time.Now().Truncate(time.Second))
	rows := &memory{}
	ring, err := Open(ctx, db, rows, sealer, now)
	require.NoError(t, err)
	require.Len(t, rows.keys, 2)
	begin := now.Now()
	rows.keys[0].RetiringAt, rows.keys[1].ActiveAt = begin.Add(30*time.Minute), begin.Add(30*time.Minute)
	rows.keys[0].GoneAt = begin.Add(56 * time.Minute)
	require.NoError(t, ring.load(ctx))

	verifier := auth.NewVerifier(auth.VerifierConfig{Revocations: auth.NoRevocations{}, Issuer: func() string { return "x" }, Keys: ring, Clock: now})
	type signed struct {
		text string
		end  time.Time
	}
	var tokens []signed
	for range 70 {
		text, err := ring.Sign(&auth.Claims{
			RegisteredClaims: jwt.RegisteredClaims{
				Issuer: "x", Subject: "usr_a", Audience: jwt.ClaimStrings{"kms"}, ID: "a",
				IssuedAt: jwt.NewNumericDate(now.Now()), ExpiresAt: jwt.NewNumericDate(now.Now().Add(15 * time.Minute)),
			},
			ClientID: "c", Principal: "user",
		})
		require.NoError(t, err)
		tokens = append(tokens, signed{text, now.Now().Add(15 * time.Minute)})
		for _, s := range tokens {
			_, err := verifier.Verify(ctx, s.text, "kms")
			if now.Now().Before(s.end) {
				require.NoError(t, err, "minute %v", now.Now().Sub(begin))
			}
		}
		require.Len(t, ring.Published(), map[bool]int{true: 2, false: 1}[now.Now().Before(rows.keys[0].GoneAt)])
		now.Advance(time.Minute)
	}
	_, err = verifier.Verify(ctx, tokens[0].text, "kms")
	require.Error(t, err)

	// A private part does not open under another key ID.
	rows.keys[0].SealedPrivate, rows.keys[0].GoneAt = rows.keys[1].SealedPrivate, time.Time{}
	require.ErrorContains(t, ring.load(ctx), "open signing key")
	require.NotEmpty(t, ring.Published(), "the old ones still count")
}

func TestRing_signsWithKeysOfAClockThatWasAhead(t *testing.T) {
	ctx := t.Context()
	db, err := store.Open(ctx, store.Config{Dir: t.TempDir(), Name: "test", Migrations: []fs.FS{audit.Migrations}})
	require.NoError(t, err)
	defer db.Close()
	audittest.Open(t, db)
	sealer, err := seal.NewAEAD()
	require.NoError(t, err)
	now := clock.NewFake(time.Now())
	ring, err := Open(ctx, db, &memory{}, sealer, now)
	require.NoError(t, err)
	require.False(t, ring.Ahead())
	signer, err := ring.active()
	require.NoError(t, err)
	now.Advance(-365 * 24 * time.Hour)
	require.NoError(t, ring.Ready())
	require.True(t, ring.Ahead())
	again, err := ring.active()
	require.NoError(t, err)
	require.Equal(t, signer.KID, again.KID, "every replica takes the same one")
	_, _, err = ring.Key(ctx, signer.KID)
	require.NoError(t, err, "what it signs is verified")
	_, err = ring.Sign(&auth.Claims{})
	require.NoError(t, err)

	ring.keys = nil
	_, err = ring.Sign(&auth.Claims{})
	require.ErrorContains(t, err, "no signing key is active")
	require.Error(t, ring.Ready())
}
