package vault_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var errKilled = errors.New("killed")

// steps are the rows of a process that is killed before one of the writes of a rotation; never for a negative number.
type steps struct {
	kmsdb.Keysets
	left int
}

func (s *steps) step() error {
	if s.left == 0 {
		return errKilled
	}
	s.left--
	return nil
}

func (s *steps) SetRootState(ctx context.Context, tx *store.Tx, state vault.State) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Keysets.SetRootState(ctx, tx, state)
}

func (s *steps) Reseal(ctx context.Context, tx *store.Tx, name, from, to string, sealed []byte) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Keysets.Reseal(ctx, tx, name, from, to, sealed)
}

func (s *steps) ReplaceKeyset(ctx context.Context, tx *store.Tx, name, rootID string, sealed []byte) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Keysets.ReplaceKeyset(ctx, tx, name, rootID, sealed)
}

// world is a database with a few keysets, the files of its root keys, and an administrator.
type world struct {
	*kmstest.Parts
	files  vault.Files
	admin  *auth.Principal
	sealed map[string][]byte // by keyset
}

func each(t *testing.T, f func(w *world)) {
	t.Helper()
	storetest.Each(t, []fs.FS{audit.Migrations, kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		w := &world{Parts: kmstest.On(t, open(t)), sealed: map[string][]byte{}}
		w.files.Current = filepath.Join(t.TempDir(), "root.key")
		w.files.Previous = seal.PreviousFile(w.files.Current)
		require.NoError(t, seal.CreateRoot(w.files.Current))
		w.admin = w.Caller(w.First("ada").ID)
		v := w.open()
		for _, name := range []string{vault.Signing, vault.Refresh, vault.Secrets, vault.Wrapping} {
			set, err := v.AEAD(t.Context(), name)
			require.NoError(t, err)
			w.sealed[name], err = set.Seal([]byte("plain"), []byte(name))
			require.NoError(t, err)
		}
		f(w)
	})
}

// open starts with the present files.
func (w *world) open() *vault.Vault {
	w.Helper()
	v, err := vault.Open(w.Context(), w.DB, kmsdb.Keysets{}, w.files, w.Clock)
	require.NoError(w, err)
	return v
}

func (w *world) rotation(v *vault.Vault) *vault.Rotation {
	return vault.NewRotation(v, w.Standing, w.Clock, slog.New(slog.DiscardHandler))
}

// opens requires that a start with the present files opens everything.
func (w *world) opens() {
	w.Helper()
	v := w.open()
	for name, sealed := range w.sealed {
		set, err := v.AEAD(w.Context(), name)
		require.NoError(w, err, name)
		plain, err := set.Open(sealed, []byte(name))
		require.NoError(w, err, name)
		require.Equal(w, "plain", string(plain), name)
	}
}

// A rotation continues from wherever its process was killed, before any of its writes, and no longer needs the previous key when it has finished.
func TestRotation_goesOnFromEveryStep(t *testing.T) {
	each(t, func(w *world) {
		for at := 0; ; at++ {
			w.Clock.Advance(time.Minute) // killed replicas no longer count
			require.NoError(w, seal.ReplaceRoot(w.files.Current))
			v, err := vault.Open(w.Context(), w.DB, &steps{left: at}, w.files, w.Clock)
			require.NoError(w, err)
			r := w.rotation(v)
			if _, err = r.Rotate(w.Context(), w.admin); err == nil {
				err = r.Tend(w.Context())
			}
			killed := errors.Is(err, errKilled)
			if !killed {
				require.NoError(w, err)
			}
			w.opens()

			w.Clock.Advance(time.Minute)
			r = w.rotation(w.open())
			status, err := r.Status(w.Context(), w.admin)
			require.NoError(w, err)
			if status.Active != status.Current {
				_, err = r.Rotate(w.Context(), w.admin)
				require.NoError(w, err)
			}
			require.NoError(w, r.Tend(w.Context()))
			status, err = r.Status(w.Context(), w.admin)
			require.NoError(w, err)
			require.Equal(w, status.Current, status.Active)
			require.Zero(w, status.Remaining)
			require.False(w, status.FinishedAt.IsZero())
			require.NoError(w, os.Remove(w.files.Previous))
			w.opens()
			if !killed {
				require.Greater(w, at, len(w.sealed), "it was killed at every keyset")
				return
			}
		}
	})
}

// A process that still has a key whose file was removed too early reseals what only that key opens, and reports it.
func TestRotation_savesWhatAKeyWithoutAFileSeals(t *testing.T) {
	each(t, func(w *world) {
		r := w.rotation(w.open())
		require.NoError(w, seal.ReplaceRoot(w.files.Current))
		_, err := r.Rotate(w.Context(), w.admin)
		require.NoError(w, err)
		require.NoError(w, os.Remove(w.files.Previous))
		require.ErrorIs(w, r.Tend(w.Context()), vault.ErrWrongRoot)
		require.NoError(w, r.Tend(w.Context()), "nothing is left under it")
		w.opens()
	})
}

// Nothing is resealed under a key without a file: it would be lost with the process.
func TestRotation_resealsNothingUnderAKeyWithoutAFile(t *testing.T) {
	each(t, func(w *world) {
		r := w.rotation(w.open())
		require.NoError(w, seal.ReplaceRoot(w.files.Current))
		begun, err := r.Rotate(w.Context(), w.admin)
		require.NoError(w, err)
		require.NotZero(w, begun.Remaining)
		require.NoError(w, os.Rename(w.files.Previous, w.files.Current))
		require.ErrorIs(w, r.Tend(w.Context()), vault.ErrWrongRoot)
		after, err := r.Status(w.Context(), w.admin)
		require.NoError(w, err)
		require.Equal(w, begun.Remaining, after.Remaining)
	})
}

// A replica that read the database before a rotation and announces its keys after it does not start without the new key.
func TestAnnounce_refusesAReplicaThatARotationHasPassed(t *testing.T) {
	each(t, func(w *world) {
		one := w.rotation(w.open())
		require.NoError(w, one.Announce(w.Context()))
		old, err := os.ReadFile(w.files.Current)
		require.NoError(w, err)
		late := filepath.Join(w.TempDir(), "root.key")
		require.NoError(w, os.WriteFile(late, old, 0o600))
		v, err := vault.Open(w.Context(), w.DB, kmsdb.Keysets{}, vault.Files{Current: late}, w.Clock)
		require.NoError(w, err)
		require.NoError(w, seal.ReplaceRoot(w.files.Current))
		_, err = one.Rotate(w.Context(), w.admin)
		require.NoError(w, err)
		require.ErrorIs(w, w.rotation(v).Announce(w.Context()), vault.ErrWrongRoot)
	})
}
