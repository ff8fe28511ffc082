package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
)

func TestProofKeys_areGoodWhileTheirServiceIsActive(t *testing.T) {
	each(t, func(s suite) {
		rows, one := kmsdb.ProofKeys{}, printer("svc_1", "twofactor")
		s.insertService(one)
		register := func(public string, at time.Time) {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.Register(ctx, tx, "kid", []byte(public), "svc_1", at)
			})
		}
		key := func() string {
			public, found, err := rows.Key(s.Context(), s.q(), "kid")
			require.NoError(s, err)
			require.Equal(s, found, len(public) > 0)
			return string(public)
		}
		status := func(status string) {
			one.Status, one.Version = status, one.Version+1
			require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return kmsdb.Services{}.Update(ctx, tx, one, one.Version-1)
			}))
		}
		require.Empty(s, key())
		register("public", noon)
		require.Equal(s, "public", key())
		register("another", noon)
		require.Equal(s, "public", key(), "an id names one key for ever")
		status(user.Disabled)
		require.Empty(s, key())
		status(user.Active)
		require.Equal(s, "public", key())
		s.restoredAt(noon.Add(time.Second))
		require.Empty(s, key(), "from before a restore")
		register("public", noon.Add(time.Second))
		require.Equal(s, "public", key(), "registered again")
		_ = s.fails(func(ctx context.Context, tx *store.Tx) error {
			return rows.Register(ctx, tx, "other", []byte("p"), "svc_2", noon)
		})
	})
}
