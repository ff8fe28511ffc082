package signing_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

// smithy is a ring with its rotation, and an administrator.
type smithy struct {
	*kmstest.Parts
	*signing.Rotation
	admin *auth.Principal
}

func newSmithy(t *testing.T) *smithy {
	t.Helper()
	p := kmstest.New(t)
	v, err := vault.Open(t.Context(), p.DB, kmsdb.Keysets{}, vault.Files{Current: filepath.Join(t.TempDir(), "root.key")}, p.Clock)
	require.NoError(t, err)
	sealer, err := v.AEAD(t.Context(), vault.Signing)
	require.NoError(t, err)
	ring, err := signing.Open(t.Context(), p.DB, kmsdb.SigningKeys{}, sealer, p.Clock)
	require.NoError(t, err)
	return &smithy{p, &signing.Rotation{
		DB: p.DB, Rows: kmsdb.SigningKeys{}, Ring: ring, Standing: p.Standing, Feed: p.Feed, Audit: auditlog.Log{Clock: p.Clock}, Clock: p.Clock, Life: signing.DefaultLife, SetAge: signing.DefaultSetAge,
	}, p.Caller(p.First("root").ID)}
}

// keys returns the keys that are not gone, oldest first.
func (s *smithy) keys() []signing.Key {
	s.Helper()
	keys, err := s.Rows.SigningKeys(s.Context(), s.Parts.DB.Read(s.Context()), s.Parts.Clock.Now())
	require.NoError(s.Parts, err)
	return keys
}

// one returns the single key in a state; named selects among keys in the state Next.
func (s *smithy) one(state signing.State, named bool) signing.Key {
	s.Helper()
	var found []signing.Key
	for _, k := range s.keys() {
		if k.State(s.Parts.Clock.Now()) == state && (state != signing.Next || named == !k.ActiveAt.IsZero()) {
			found = append(found, k)
		}
	}
	require.Len(s.Parts, found, 1, "%s, named %v: of %d keys", state, named, len(s.keys()))
	return found[0]
}

// signer returns the kid of new signatures.
func (s *smithy) signer() string {
	s.Helper()
	text, err := s.Ring.Sign(&auth.Claims{})
	require.NoError(s.Parts, err)
	head, _, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	require.NoError(s.Parts, err)
	var header struct{ Kid string }
	require.NoError(s.Parts, json.Unmarshal(raw, &header))
	return header.Kid
}

func TestRotate_publishesAKeyBeforeItSigns(t *testing.T) {
	s := newSmithy(t)
	first, second := s.one(signing.Active, false), s.one(signing.Next, false)
	named, err := s.Rotate(t.Context(), s.admin, "")
	require.NoError(t, err)
	require.Equal(t, second.KID, named.KID)
	require.Equal(t, second.PublishedAt.Add(signing.Lead(signing.DefaultSetAge)), named.ActiveAt, "it was published just now")
	require.Equal(t, first.KID, s.signer())
	_, err = s.Rotate(t.Context(), s.admin, "")
	require.ErrorIs(t, err, domain.StateConflict, "one rotation at a time")

	s.Parts.Clock.Advance(signing.Lead(signing.DefaultSetAge) - time.Microsecond)
	require.Equal(t, first.KID, s.signer())
	s.Parts.Clock.Advance(time.Microsecond)
	require.Equal(t, second.KID, s.signer())
	require.Equal(t, signing.Retiring, s.one(signing.Retiring, false).State(s.Parts.Clock.Now()))
	require.Len(t, s.Ring.Published(), 3, "the old one, the one that signs, the next one")

	// The key after it has already been published long enough: only the replicas' reload time remains to wait for.
	again, err := s.Rotate(t.Context(), s.admin, "")
	require.NoError(t, err)
	require.Equal(t, s.Parts.Clock.Now().Add(signing.Handover), again.ActiveAt)
	s.Parts.Clock.Advance(signing.Retention(signing.DefaultSetAge) - time.Microsecond)
	_, _, err = s.Ring.Key(t.Context(), first.KID)
	require.NoError(t, err, "what it signed last is accepted until then")
	s.Parts.Clock.Advance(time.Microsecond)
	_, _, err = s.Ring.Key(t.Context(), first.KID)
	require.ErrorIs(t, err, auth.ErrUnknownKey)
}

func TestRotate_choosesTheAlgorithm(t *testing.T) {
	s := newSmithy(t)
	unused := s.one(signing.Next, false)
	for _, algorithm := range []string{signing.ES256, "", signing.EdDSA} {
		want := algorithm
		if want == "" {
			want = signing.ES256
		}
		named, err := s.Rotate(t.Context(), s.admin, algorithm)
		require.NoError(t, err)
		require.Equal(t, want, named.Alg)
		s.Parts.Clock.Advance(named.ActiveAt.Sub(s.Parts.Clock.Now()))
		require.Equal(t, named.KID, s.signer())
		require.Equal(t, want, s.one(signing.Next, false).Alg, "and those after it")
		s.admin = s.Caller(s.admin.Subject)
	}
	gone, found, err := s.Rows.SigningKey(t.Context(), s.Parts.DB.Read(t.Context()), unused.KID)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, signing.Gone, gone.State(s.Parts.Clock.Now()), "it never signed")
	require.Empty(t, gone.SealedPrivate)
}

func TestTend_rotatesAfterALifeAndErasesPrivateParts(t *testing.T) {
	s := newSmithy(t)
	first := s.one(signing.Active, false)
	s.Parts.Clock.Advance(signing.DefaultLife - time.Second)
	require.NoError(t, s.Tend(t.Context()))
	require.Len(t, s.keys(), 2, "not before its time")
	s.Parts.Clock.Advance(time.Second)
	require.NoError(t, s.Tend(t.Context()))
	require.NoError(t, s.Tend(t.Context()), "once")
	require.Len(t, s.keys(), 3)
	named := s.one(signing.Next, true)
	require.Equal(t, s.Parts.Clock.Now().Add(signing.Handover), named.ActiveAt)
	s.Parts.Clock.Advance(signing.Handover + 2*time.Minute)
	require.Equal(t, named.KID, s.signer())
	require.NotEmpty(t, s.one(signing.Retiring, false).SealedPrivate)
	require.NoError(t, s.Tend(t.Context()))
	require.Equal(t, first.KID, s.one(signing.Retiring, false).KID)
	require.Empty(t, s.one(signing.Retiring, false).SealedPrivate)
	require.NoError(t, s.Ring.Reload(t.Context()))
	_, _, err := s.Ring.Key(t.Context(), first.KID)
	require.NoError(t, err, "it still verifies")
}

// The private part is erased even if Tend did not run until the key was gone.
func TestTend_erasesPrivatePartsOfKeysThatAreGone(t *testing.T) {
	s := newSmithy(t)
	first := s.one(signing.Active, false)
	named, err := s.Rotate(t.Context(), s.admin, "")
	require.NoError(t, err)
	left := func() bool {
		k, found, err := s.Rows.SigningKey(t.Context(), s.Parts.DB.Read(t.Context()), first.KID)
		require.NoError(t, err)
		require.True(t, found)
		return len(k.SealedPrivate) > 0
	}
	s.Parts.Clock.Advance(named.ActiveAt.Sub(s.Parts.Clock.Now()) + time.Minute - time.Second)
	require.NoError(t, s.Tend(t.Context()))
	require.True(t, left(), "a replica whose clock is behind still signs with it")
	s.Parts.Clock.Advance(signing.Retention(signing.DefaultSetAge))
	require.NoError(t, s.Tend(t.Context()))
	require.False(t, left())
	require.Equal(t, named.KID, s.signer())
}

func TestRevoke_leavesOneKeyThatSignsAndOneThatWaits(t *testing.T) {
	for name, c := range map[string]struct {
		rotate bool
		state  signing.State
		named  bool
	}{
		"the one that signs":                 {false, signing.Active, false},
		"the next one":                       {false, signing.Next, false},
		"the one that signs, before another": {true, signing.Active, false},
		"the one that will sign":             {true, signing.Next, true},
		"the one after that which will sign": {true, signing.Next, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmithy(t)
			if c.rotate {
				_, err := s.Rotate(t.Context(), s.admin, "")
				require.NoError(t, err)
			}
			victim := s.one(c.state, c.named)
			for range 2 { // again changes nothing
				ended, err := s.Revoke(t.Context(), s.admin, victim.KID)
				require.NoError(t, err)
				require.Equal(t, s.Parts.Clock.Now(), ended.RevokedAt)
				require.Empty(t, ended.SealedPrivate)
				s.one(signing.Active, false)
				s.one(signing.Next, false)
			}
			require.NotEqual(t, victim.KID, s.signer())
			_, _, err := s.Ring.Key(t.Context(), victim.KID)
			require.ErrorIs(t, err, auth.ErrUnknownKey)
			revoked, err := s.Parts.Feed.Revoked(&auth.Principal{KeyID: victim.KID})
			require.NoError(t, err)
			require.True(t, revoked)

			// And rotations continue.
			s.Parts.Clock.Advance(signing.Lead(signing.DefaultSetAge))
			s.admin = s.Caller(s.admin.Subject)
			before := s.signer()
			if named, err := s.Rotate(t.Context(), s.admin, ""); err == nil {
				s.Parts.Clock.Advance(named.ActiveAt.Sub(s.Parts.Clock.Now()))
				require.NotEqual(t, before, s.signer())
			}
			s.Parts.Clock.Advance(24 * time.Hour)
			s.signer()
			s.one(signing.Active, false)
		})
	}
	s := newSmithy(t)
	_, err := s.Revoke(t.Context(), s.admin, "unknown")
	require.ErrorIs(t, err, domain.NotFound)
}

// Many concurrent calls cause one rotation and then some revocations, and never leave fewer than two keys.
func TestRotation_takesTurns(t *testing.T) {
	s := newSmithy(t)
	var rotated atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch _, err := s.Rotate(t.Context(), s.admin, ""); {
			case err == nil:
				rotated.Add(1)
			default:
				if !errors.Is(err, domain.StateConflict) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, rotated.Load())
	for _, k := range s.keys() {
		all.Go(func() {
			if _, err := s.Revoke(t.Context(), s.admin, k.KID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.one(signing.Active, false)
	s.one(signing.Next, false)
}

func TestRotation_isForAdministrators(t *testing.T) {
	s := newSmithy(t)
	s.Write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE users SET roles = 'editor'")
		return err
	})
	caller := s.admin // the caller's token still has the role
	_, err := s.Rotate(t.Context(), caller, "")
	require.ErrorIs(t, err, domain.Forbidden)
	_, err = s.Revoke(t.Context(), caller, s.keys()[0].KID)
	require.ErrorIs(t, err, domain.Forbidden)
	_, _, err = s.List(t.Context(), caller, "", 10)
	require.ErrorIs(t, err, domain.Forbidden)
	require.Len(t, s.keys(), 2)
}

// However fast keys follow each other, the set has at most the 32 keys that verifiers accept. A verifier of the family may have a set that lacks a key only if it
// has not tried a fetch for 10 seconds, and then it fetches.
func TestSetAge_keepsTheSetSmallAndKeysPublishedLongEnough(t *testing.T) {
	for age := signing.MinSetAge; age <= signing.DefaultSetAge; age += time.Second {
		at := int((signing.Retention(age)+signing.Lead(age)-1)/signing.Lead(age)) + 3 // the retiring ones, the active one, the scheduled one and the next
		require.LessOrEqual(t, at, 32, age)
		require.GreaterOrEqual(t, signing.Lead(age), signing.Handover+2*signing.ReloadPause+10*time.Second, age)
	}
}
