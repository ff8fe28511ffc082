package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/store"
)

func TestSigningKeys_areReadUntilTheyAreGone(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.SigningKeys{}
		next := signing.Key{KID: "next", Alg: "EdDSA", Public: []byte("public"), SealedPrivate: []byte("sealed"), PublishedAt: noon.Add(time.Second)}
		old := signing.Key{
			KID: "old", Alg: "EdDSA", Public: []byte("another"), PublishedAt: noon, ActiveAt: noon.Add(time.Minute),
			RetiringAt: noon.Add(time.Hour), GoneAt: noon.Add(2 * time.Hour),
		}
		insert := func(k signing.Key) func(context.Context, *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error { return rows.InsertSigningKey(ctx, tx, k) }
		}
		keys := func(at time.Time) []signing.Key {
			keys, err := rows.SigningKeys(s.Context(), s.q(), at)
			require.NoError(s, err)
			return keys
		}
		require.Empty(s, keys(noon))
		s.write(insert(next))
		s.write(insert(old))
		_ = s.fails(insert(old))
		require.Equal(s, []signing.Key{old, next}, keys(old.GoneAt.Add(-time.Microsecond)), "oldest first")
		require.Equal(s, []signing.Key{next}, keys(old.GoneAt))
	})
}

func TestSigningKeys_changeUnderTheTurn(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.SigningKeys{}
		key := func(kid string, published time.Time) signing.Key {
			return signing.Key{KID: kid, Alg: "ES256", Public: []byte("public"), SealedPrivate: []byte("sealed"), PublishedAt: published}
		}
		a, b, c := key("a", noon), key("b", noon), key("c", noon.Add(time.Hour))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			for _, k := range []signing.Key{a, b, c} {
				require.NoError(s, rows.InsertSigningKey(ctx, tx, k))
			}
			return nil
		})
		b.SealedPrivate, b.RetiringAt, b.GoneAt, b.RevokedAt = nil, noon.Add(2*time.Hour), noon.Add(3*time.Hour), noon.Add(3*time.Hour)
		b.ActiveAt = noon.Add(time.Microsecond)
		s.write(func(ctx context.Context, tx *store.Tx) error {
			require.NoError(s, rows.TakeTurn(ctx, tx))
			return rows.UpdateSigningKey(ctx, tx, b)
		})
		require.EqualValues(s, 1, s.number("SELECT turns FROM signing_rotation"))
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			return rows.UpdateSigningKey(ctx, tx, key("missing", noon))
		})
		got, found, err := rows.SigningKey(s.Context(), s.q(), "b")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, b, got)
		_, found, err = rows.SigningKey(s.Context(), s.q(), "missing")
		require.NoError(s, err)
		require.False(s, found)

		first, err := rows.ListSigningKeys(s.Context(), s.q(), signing.Place{}, 2)
		require.NoError(s, err)
		require.Equal(s, []signing.Key{c, b}, first, "newest first")
		rest, err := rows.ListSigningKeys(s.Context(), s.q(), signing.Place{At: b.PublishedAt, KID: b.KID}, 2)
		require.NoError(s, err)
		require.Equal(s, []signing.Key{a}, rest)

		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.SweepSigningKeys(ctx, tx, b.GoneAt) })
		require.EqualValues(s, 3, s.number("SELECT COUNT(*) FROM signing_keys"))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return rows.SweepSigningKeys(ctx, tx, b.GoneAt.Add(time.Microsecond))
		})
		require.EqualValues(s, 2, s.number("SELECT COUNT(*) FROM signing_keys"))
	})
}

func TestSigningKeys_areClaimedOnce(t *testing.T) {
	each(t, func(s suite) {
		claim := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.SigningKeys{}.Claim(ctx, tx, "first key")
		}
		require.ErrorIs(s, s.fails(func(ctx context.Context, tx *store.Tx) error {
			claimed, err := claim(ctx, tx)
			require.True(s, claimed)
			require.NoError(s, err)
			return context.Canceled
		}), context.Canceled)
		require.True(s, s.did(claim), "one that is rolled back claims nothing")
		require.False(s, s.did(claim))
	})
}
