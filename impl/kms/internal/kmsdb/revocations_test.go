package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

func TestRevocations_haveOnePositionAfterTheOther(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Revocations{}
		entry := func(id string, until time.Time) revocation.Entry {
			return revocation.Entry{Kind: revocation.Session, ID: id, Epoch: 3, At: noon, Until: until}
		}
		add := func(e revocation.Entry) (position int64) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				position, err = rows.Append(ctx, tx, e)
				return err
			})
			return position
		}
		after := func(position int64, limit int) []revocation.Entry {
			entries, err := rows.After(s.Context(), s.q(), position, limit)
			require.NoError(s, err)
			return entries
		}
		head := func() int64 {
			position, err := rows.Head(s.Context(), s.q())
			require.NoError(s, err)
			return position
		}
		require.Zero(s, head())
		require.Empty(s, after(0, 9))
		first, second := entry("ses_1", noon.Add(time.Hour)), entry("ses_2", noon.Add(time.Minute))
		first.Position, second.Position = add(first), add(second)
		require.Equal(s, []int64{1, 2, 2}, []int64{first.Position, second.Position, head()})
		require.Equal(s, []revocation.Entry{first, second}, after(0, 9))
		require.Equal(s, []revocation.Entry{first}, after(0, 1))
		require.Equal(s, []revocation.Entry{second}, after(1, 9))

		sweep := func(at time.Time) {
			s.write(func(ctx context.Context, tx *store.Tx) error { return rows.Sweep(ctx, tx, at) })
		}
		sweep(second.Until)
		require.Len(s, after(0, 9), 2)
		sweep(second.Until.Add(time.Microsecond))
		require.Equal(s, []revocation.Entry{first}, after(0, 9))
		require.EqualValues(s, 3, add(entry("ses_3", noon)), "a position is never given twice")
		require.Equal(s, "exclusive", s.whatIsLocked("exclusive", "SELECT 1 FROM revocation_head WHERE id = 1", func(ctx context.Context, tx *store.Tx) error {
			_, err := rows.Append(ctx, tx, first)
			return err
		}))
	})
}

func TestRevocations_areNamedOnce(t *testing.T) {
	each(t, func(s suite) {
		for _, name := range []string{"first", "second"} {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				named, err := kmsdb.Revocations{}.Name(ctx, tx, name)
				require.Equal(s, "first", named)
				return err
			})
		}
	})
}
