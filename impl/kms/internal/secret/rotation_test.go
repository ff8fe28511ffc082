package secret_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/store"
)

// A replica that has a step leased and died is waited for until the lease is over, at each step; then another one goes on, and the rotation is whole.
func TestWorkOnRotations_goesOnWhereADeadReplicaStopped(t *testing.T) {
	for _, at := range []secret.Step{secret.Create, secret.Set, secret.Test, secret.Finish} {
		h := newHouse(t)
		_, err := h.put(h.admin, "app.db", "first", secret.Precondition{})
		require.NoError(t, err)
		_, err = h.secrets.PutRotation(t.Context(), h.admin, secret.Rotation{Name: "app.db", Driver: secret.Random, Length: 43}, nil)
		require.NoError(t, err)
		_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.ErrorIs(t, err, domain.StateConflict)
		rows := kmsdb.Secrets{}
		h.Write(func(ctx context.Context, tx *store.Tx) error { // the dead one, at a step that was reached before
			mine, err := rows.ClaimRotations(ctx, tx, "dead", h.Clock.Now(), h.Clock.Now().Add(30*time.Second), 10)
			require.Len(t, mine, 1)
			return err
		})
		if at != secret.Create {
			h.Write(func(ctx context.Context, tx *store.Tx) error {
				r, held, err := rows.LeasedRotation(ctx, tx, "app.db", "dead")
				require.True(t, held)
				require.NoError(t, err)
				r.Step, r.Version = at, h.proposed(ctx, tx, "app.db", 43)
				return rows.SettleRotation(ctx, tx, r, "dead", h.Clock.Now().Add(30*time.Second))
			})
		}
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.Equal(t, at, r.Step, "the lease holds")
		h.Clock.Advance(30 * time.Second)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		r, err = h.secrets.GetRotation(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.Equal(t, []any{secret.Idle, secret.Done, int64(2)}, []any{r.Step, r.LastOutcome, r.LastVersion}, "from %s", at)
		of, value, err := h.secrets.Get(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.EqualValues(t, []int64{2, 1, 0}, []int64{of.Version, of.Previous, of.Pending})
		require.Len(t, value, 43)
	}
}

// proposed stores a pending version in a transaction, as the step create does.
func (h *house) proposed(ctx context.Context, tx *store.Tx, name string, length int64) int64 {
	number, err := secret.ProposeRandom(h.secrets, ctx, tx, name, length)
	require.NoError(h.T, err)
	return number
}

// What can't be opened never becomes current: the step is tried again, at last the rotation has failed, and the next one works.
func TestWorkOnRotations_failsRatherThanMakingCurrentWhatDoesNotOpen(t *testing.T) {
	h := newHouse(t)
	_, err := h.put(h.admin, "app.db", "first", secret.Precondition{})
	require.NoError(t, err)
	_, err = h.secrets.PutRotation(t.Context(), h.admin, secret.Rotation{Name: "app.db", Driver: secret.Random, Length: 43}, nil)
	require.NoError(t, err)
	_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	rows := kmsdb.Secrets{}
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		if _, err := rows.ClaimRotations(ctx, tx, "dead", h.Clock.Now(), h.Clock.Now(), 10); err != nil {
			return err
		}
		r, _, err := rows.LeasedRotation(ctx, tx, "app.db", "dead")
		require.NoError(t, err)
		r.Step, r.Version = secret.Test, h.proposed(ctx, tx, "app.db", 43)
		if _, err := tx.Exec(ctx, "UPDATE secret_versions SET sealed = wrapped_key WHERE version = 2"); err != nil {
			return err
		}
		return rows.SettleRotation(ctx, tx, r, "", h.Clock.Now())
	})
	failures := 0
	for range 20 {
		if err := h.secrets.WorkOnRotations(t.Context()); err != nil {
			failures++
		}
		h.Clock.Advance(10 * time.Minute)
	}
	require.Equal(t, 10, failures, "each attempt is told")
	h.admin = h.Caller(h.admin.Subject)
	r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, []any{secret.Idle, secret.Failed}, []any{r.Step, r.LastOutcome})
	of, value, err := h.secrets.Get(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, "first", value)
	require.Zero(t, of.Pending, "and nothing waits")
	_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	of, _, err = h.secrets.Get(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.EqualValues(t, 3, of.Version)
}
