package kmsdb_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
)

// If two replicas create the same keyset, the later one must get the other's, or what it seals would open nowhere.
func TestKeysets_keepTheOneThatWasThereFirst(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Keysets{}
		insert := func(name, root, sealed string) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.InsertKeyset(ctx, tx, name, root, []byte(sealed), noon.UnixMicro())
			})
		}
		read := func(name string) (string, bool) {
			sealed, found, err := rows.Keyset(s.Context(), s.q(), name)
			require.NoError(s, err)
			return string(sealed), found
		}
		_, found := read("signing")
		require.False(s, found)
		insert("signing", "root_1", "first")
		insert("signing", "root_2", "second")
		sealed, found := read("signing")
		require.True(s, found)
		require.Equal(s, "first", sealed)
	})
}

// A start detects a different root key by these IDs.
func TestKeysets_tellEveryRootKeyThatSealedOne(t *testing.T) {
	each(t, func(s suite) {
		roots := func() []string {
			ids, err := kmsdb.Keysets{}.Roots(s.Context(), s.q())
			require.NoError(s, err)
			return ids
		}
		require.Empty(s, roots())
		s.write(func(ctx context.Context, tx *store.Tx) error {
			for _, set := range [][2]string{{"signing", "root_2"}, {"refresh", "root_1"}, {"secrets", "root_2"}} {
				if err := (kmsdb.Keysets{}).InsertKeyset(ctx, tx, set[0], set[1], []byte("sealed"), noon.UnixMicro()); err != nil {
					return err
				}
			}
			return nil
		})
		require.Equal(s, []string{"root_1", "root_2"}, roots())
	})
}
