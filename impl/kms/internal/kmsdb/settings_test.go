package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
)

func TestSettings_keepTheValueThatWasFixedFirst(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Settings{}
		read := func(name string) string {
			value, err := rows.Setting(s.Context(), s.q(), name)
			require.NoError(s, err)
			return value
		}
		fix := func(name, value string) (stored string) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				stored, err = rows.Fix(ctx, tx, name, value)
				return err
			})
			return stored
		}
		require.Empty(s, read("issuer"), "nothing is fixed yet")
		require.Equal(s, "https://first.example", fix("issuer", "https://first.example"))
		require.Equal(s, "https://first.example", fix("issuer", "https://second.example"))
		require.Equal(s, "other", fix("another", "other"))
		require.Equal(s, "https://first.example", read("issuer"))
	})
}

// The mark never goes back: what one restore has ended stays ended, whatever the clock of a later one.
func TestMarkRestored_onlyMovesForward(t *testing.T) {
	each(t, func(s suite) {
		mark := func() int64 { return s.number("SELECT not_before FROM restore_mark WHERE id = 1") }
		require.Zero(s, mark())
		s.restoredAt(noon)
		require.Equal(s, noon.UnixMicro(), mark())
		s.restoredAt(noon.Add(-time.Hour))
		require.Equal(s, noon.UnixMicro(), mark())
		s.restoredAt(noon.Add(time.Hour))
		require.Equal(s, noon.Add(time.Hour).UnixMicro(), mark())
	})
}
