package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
)

func TestInvitations_enrolOneFactorOfOneUser(t *testing.T) {
	each(t, func(s suite) {
		rows, end := kmsdb.Users{}, noon.Add(time.Hour)
		s.insertUser(ada("usr_1", "ada"))
		insert := func(id string) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.InsertInvitation(ctx, tx, id, []byte("hash of "+id), "usr_1", noon, end)
			})
		}
		open := func(id, userID string, at time.Time) bool {
			got, open, err := rows.OpenInvitation(s.Context(), s.q(), []byte("hash of "+id), userID, at)
			require.NoError(s, err)
			require.Equal(s, open, got == id)
			return open
		}
		use := func(id, userID, factor string, at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return rows.UseInvitation(ctx, tx, id, userID, factor, at)
			})
		}
		insert("inv_1")
		require.True(s, open("inv_1", "usr_1", noon))
		require.False(s, open("inv_1", "usr_2", noon), "another user's")
		require.False(s, open("inv_1", "usr_1", end))
		require.False(s, use("inv_1", "usr_1", "fac_1", end))
		require.False(s, use("inv_1", "usr_2", "fac_1", noon))
		insert("inv_2")
		require.False(s, open("inv_1", "usr_1", noon), "superseded")
		require.False(s, use("inv_1", "usr_1", "fac_1", noon))
		require.True(s, use("inv_2", "usr_1", "fac_1", noon))
		require.True(s, use("inv_2", "usr_1", "fac_1", noon), "the answer may have been lost")
		require.False(s, use("inv_2", "usr_1", "fac_2", noon))
		require.False(s, open("inv_2", "usr_1", noon))
		insert("inv_3")
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			return rows.InsertInvitation(ctx, tx, "inv_4", []byte("hash of inv_3"), "usr_1", noon, end)
		})
		s.restoredAt(noon.Add(time.Second))
		require.False(s, open("inv_3", "usr_1", noon), "from before a restore")
		require.False(s, use("inv_3", "usr_1", "fac_1", noon))

		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.SweepTokens(ctx, tx, end.Add(time.Second)) })
		require.Zero(s, s.number("SELECT COUNT(*) FROM invitations"))
	})
}
