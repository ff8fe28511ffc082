package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
)

// A transaction that waited for the name of a scope while another inserted its feed locks the feed too, as later transactions do.
func TestLockFeeds_locksAFeedThatWasMadeMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		one, other := open(t), open(t)
		if one.Dialect() != database.PostgreSQL {
			t.Skip("one writer at a time")
		}
		waited := make(chan error, 1)
		locked, leave := make(chan []string, 1), make(chan struct{})
		require.NoError(t, one.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			_, err := store.LockFeeds(ctx, tx, []string{lines.Scope}, time.Minute)
			require.NoError(t, err)
			go func() {
				waited <- other.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
					held, err := store.LockFeeds(ctx, tx, []string{lines.Scope}, time.Minute)
					locked <- held
					<-leave
					return err
				})
			}()
			require.Eventually(t, func() bool {
				var n int
				err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
				return err == nil && n == 1
			}, time.Minute, 10*time.Millisecond)
			return applyIn(ctx, tx, noon, []*store.Change{create(lines, "a")})
		}))
		require.Empty(t, <-locked)
		require.NoError(t, one.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			held, err := store.LockFeeds(ctx, tx, []string{lines.Scope}, 0)
			require.Equal(t, []string{lines.Scope}, held)
			return err
		}))
		close(leave)
		require.NoError(t, <-waited)
	})
}
