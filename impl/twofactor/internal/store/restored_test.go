package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	base "github.com/fountainai/fountain/internal/store"
)

// A restored copy does not know which codes were used since the backup: codes of every step that a device can have shown are refused, and recovery codes too.
func TestEndRestored_refusesWhatMayHaveBeenUsedSince(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, gone := someone(), someone()
		id, seed := w.enrolled(t, c, totp.Default)
		w.enrolled(t, gone, totp.Default)
		recovery, err := w.CreateRecoveryCodes(t.Context(), c)
		require.NoError(t, err)
		pending, err := w.Enrol(t.Context(), someone(), "", totp.Default, "", nil)
		require.NoError(t, err)
		w.exec(t, "UPDATE factors SET drift = 1 WHERE id = ?", id) // a device that is half a minute ahead
		w.now.Advance(10 * time.Minute)
		unused := w.code(t, seed, totp.Default, 1) // good in the copy
		w.exec(t, "INSERT INTO proof_keys (kid, sealed_seed, current, created_at) VALUES ('old', ?, 1, 0) ON CONFLICT DO NOTHING", []byte{1})

		var done store.Restored
		require.NoError(t, w.db.Write(t.Context(), func(ctx context.Context, tx *base.Tx) (err error) {
			done, err = store.EndRestored(ctx, tx, w.now.Now(), func(subject string) bool { return subject == c.Subject })
			return err
		}))
		require.Equal(t, []string{gone.Subject}, done.Strangers, "the kms does not know them")
		require.Positive(t, done.Recovery)
		proof, err := w.Verify(t.Context(), c, unused)
		requireWrong(t, proof, err)
		_, err = w.UseRecoveryCode(t.Context(), c, recovery.Codes[0])
		require.ErrorIs(t, err, factor.ErrInvalidCode)
		require.Zero(t, w.number(t, "SELECT COUNT(*) FROM factors WHERE id = ?", pending.FactorID))
		require.Zero(t, w.number(t, "SELECT COUNT(*) FROM proof_keys"), "another key signs proofs")

		w.now.Advance(time.Minute)
		proof, err = w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, proof, err)
	})
}
