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
