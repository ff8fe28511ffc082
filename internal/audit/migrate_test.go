package audit_test

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// A replica of release 0.1 is in the middle of a transaction when the first new one starts. Its event is not lost and does not block the new replica.
func TestMigrations_waitForTheAppendsOfAnOldReplica(t *testing.T) {
	const name = "00010_audit.sql"
	text, err := fs.ReadFile(audit.Migrations, name)
	require.NoError(t, err)
	old := []fs.FS{fstest.MapFS{name: {Data: text}}}
	for _, inserted := range []bool{true, false} { // before the new replica starts
		storetest.EachConfig(t, old, func(t *testing.T, c store.Config) {
			if c.URL == "" {
				t.Skip("SQLite has no replicas")
			}
			before, err := store.Open(t.Context(), c)
			require.NoError(t, err)
			defer before.Close()
			c.Migrations = migrations
			opened := make(chan error, 1)
			hash := audit.Link(audit.Genesis, 1, []byte("{}"))
			insert := func(ctx context.Context, tx *store.Tx) {
				_, err := tx.Exec(ctx, "INSERT INTO audit_events (seq, at, action, actor, target, body, prev_hash, hash) VALUES (1, 0, 'a', '', '', ?, ?, ?)",
					[]byte("{}"), audit.Genesis, hash)
				require.NoError(t, err)
			}
			require.NoError(t, before.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE audit_head SET seq = 1, hash = ? WHERE id = 1", hash)
				require.NoError(t, err)
				if inserted {
					insert(ctx, tx)
				}
				go func() {
					after, err := store.Open(context.Background(), c)
					if err == nil {
						err = after.Close()
					}
					opened <- err
				}()
				require.Eventually(t, func() bool {
					var waiting int64
					err := before.Read(t.Context()).Get(t.Context(), &waiting,
						"SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
					return err == nil && waiting > 0
				}, 30*time.Second, 5*time.Millisecond, "the migration waits")
				if !inserted {
					insert(ctx, tx)
				}
				return nil
			}))
			require.NoError(t, <-opened)
			var events int64
			require.NoError(t, before.Read(t.Context()).Get(t.Context(), &events, "SELECT COUNT(*) FROM audit_events"))
			require.EqualValues(t, 1, events)
		})
	}
}
