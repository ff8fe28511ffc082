package keyring_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/keyring"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// between calls a function once, after a key's row was read and before it is opened.
type between struct {
	kmsdb.Keyrings
	then func()
}

func (b *between) Key(ctx context.Context, q store.Querier, keyringID string, number int64) (keyring.Key, bool, error) {
	key, found, err := b.Keyrings.Key(ctx, q, keyringID, number)
	if then := b.then; then != nil {
		b.then = nil
		then()
	}
	return key, found, err
}

// world is a keyring "rows", and what rotates the keys that wrap its keys.
type world struct {
	*kmstest.Parts
	rows     *between
	keyrings *keyring.Keyrings
	root     string // file
	rotation *vault.Rotation
	admin    *auth.Principal
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Parts: kmstest.New(t), rows: &between{}, root: filepath.Join(t.TempDir(), "root.key")}
	v, err := vault.Open(t.Context(), w.DB, kmsdb.Keysets{}, vault.Files{Current: w.root, Previous: seal.PreviousFile(w.root)}, w.Clock)
	require.NoError(t, err)
	_, err = v.AEAD(t.Context(), vault.Wrapping)
	require.NoError(t, err)
	w.rotation = vault.NewRotation(v, w.Standing, w.Clock, slog.New(slog.DiscardHandler))
	w.keyrings = keyring.New(w.DB, w.rows, v, w.Standing, w.Clock)
	w.admin = w.Caller(w.First("ada").ID)
	_, err = w.keyrings.Create(t.Context(), w.admin, keyring.Draft{Name: "rows", Algorithm: keyring.AES256GCM})
	require.NoError(t, err)
	return w
}

// A use does not fail when its key is rewrapped meanwhile, even if the old wrapping key has been dropped.
func TestDecrypt_goesOnBesideARotationOfTheRootKey(t *testing.T) {
	w := newWorld(t)
	sealed, err := w.keyrings.Encrypt(t.Context(), w.admin, "rows", []byte("plain"), nil)
	require.NoError(t, err)
	turned := false
	w.rows.then = func() {
		w.Clock.Advance(time.Minute)
		require.NoError(t, seal.ReplaceRoot(w.root))
		_, err := w.rotation.Rotate(t.Context(), w.admin)
		require.NoError(t, err)
		require.NoError(t, w.rotation.Tend(t.Context()))
		require.NoError(t, w.keyrings.Tend(t.Context()))
		turned = true
	}
	opened, err := w.keyrings.Decrypt(t.Context(), w.admin, "rows", sealed.Bytes, nil)
	require.NoError(t, err)
	require.True(t, turned)
	require.Equal(t, "plain", string(opened))
}

// Uses that were reserved under a higher limit are not used under a lower one.
func TestEncrypt_keepsALimitThatWasLowered(t *testing.T) {
	w := newWorld(t)
	first, err := w.keyrings.Encrypt(t.Context(), w.admin, "rows", []byte("plain"), nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, first.Number)
	least := int64(100)
	_, err = w.keyrings.Update(t.Context(), w.admin, "rows", etag.ParseMatch(etag.Of(1)), keyring.Change{MaxUses: &least})
	require.NoError(t, err)
	next, err := w.keyrings.Encrypt(t.Context(), w.admin, "rows", []byte("plain"), nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, next.Number, "more than 100 uses of the first key are counted")
	opened, err := w.keyrings.Decrypt(t.Context(), w.admin, "rows", first.Bytes, nil)
	require.NoError(t, err)
	require.Equal(t, "plain", string(opened))
}

// After a restore the number of uses since the backup is unknown, so the next use takes a new key. Keys without a limit stay in use.
func TestEncrypt_beginsWithANewKeyAfterARestore(t *testing.T) {
	w := newWorld(t)
	first, err := w.keyrings.Encrypt(t.Context(), w.admin, "rows", []byte("plain"), nil)
	require.NoError(t, err)
	_, err = w.keyrings.Create(t.Context(), w.admin, keyring.Draft{Name: "sums", Algorithm: keyring.HMACSHA256})
	require.NoError(t, err)
	w.Write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.Restored{}.End(ctx, tx, w.Clock.Now().Add(-time.Hour))
	})

	v, err := vault.Open(t.Context(), w.DB, kmsdb.Keysets{}, vault.Files{Current: w.root}, w.Clock)
	require.NoError(t, err)
	restored := keyring.New(w.DB, w.rows, v, w.Standing, w.Clock)
	next, err := restored.Encrypt(t.Context(), w.admin, "rows", []byte("plain"), nil)
	require.NoError(t, err)
	require.EqualValues(t, first.Number+1, next.Number)
	sums, err := restored.Get(t.Context(), w.admin, "sums")
	require.NoError(t, err)
	require.Zero(t, sums.Keys[0].Uses)
	sum, err := restored.Sum(t.Context(), w.admin, "sums", []byte("data"))
	require.NoError(t, err)
	require.EqualValues(t, 1, sum.Number)
}
