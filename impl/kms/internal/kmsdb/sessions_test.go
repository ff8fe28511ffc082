package kmsdb_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// A session that is refreshed without end keeps its unused token and the newest thousand used ones.
func TestSweep_boundsTheUsedTokensOfASession(t *testing.T) {
	storetest.Each(t, []fs.FS{kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, now := open(t), time.Now()
		end := now.Add(time.Hour).UnixMicro()
		var ahead int64
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			exec := func(query string, args ...any) {
				_, err := tx.Exec(ctx, query, args...)
				require.NoError(t, err)
			}
			exec("INSERT INTO users (id, username, password_hash, roles, status, version, created_at, updated_at) VALUES ('usr_1', 'ada', '', '', 'active', 1, 0, 0)")
			for _, sid := range []string{"busy", "quiet"} {
				exec("INSERT INTO refresh_families (sid, user_id, client_id, auth_time, created_at, expires_at) VALUES (?, 'usr_1', 'fountain', 0, 0, ?)", sid, end)
			}
			for i := range 1010 {
				exec("INSERT INTO refresh_tokens (hash, sid, created_at, expires_at, used_at) VALUES (?, 'busy', 0, ?, ?)", fmt.Appendf(nil, "b%d", i), end, i)
			}
			exec("INSERT INTO refresh_tokens (hash, sid, created_at, expires_at) VALUES (?, 'busy', 0, ?)", []byte("unused"), end)
			exec("INSERT INTO refresh_tokens (hash, sid, created_at, expires_at, used_at) VALUES (?, 'quiet', 0, ?, 1)", []byte("q"), end)
			exec("INSERT INTO login_guard (identity, failures, locked_until, updated_at) VALUES (?, 5, ?, ?)", []byte("ahead"), now.Add(48*time.Hour).UnixMicro(), now.UnixMicro())
			exec("INSERT INTO login_guard (identity, failures, locked_until, updated_at) VALUES (?, 5, ?, ?)", []byte("locked"), now.Add(time.Minute).UnixMicro(), now.UnixMicro())
			var err error
			ahead, err = kmsdb.Sessions{}.Sweep(ctx, tx, now, 15*time.Minute)
			return err
		}))
		require.EqualValues(t, 1, ahead)
		number := func(query string) (n int) {
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, query))
			return n
		}
		require.Equal(t, 1001, number("SELECT COUNT(*) FROM refresh_tokens WHERE sid = 'busy'"))
		require.Equal(t, 10, number("SELECT MIN(used_at) FROM refresh_tokens WHERE sid = 'busy'"))
		require.Equal(t, 1, number("SELECT COUNT(*) FROM refresh_tokens WHERE sid = 'quiet'"))
		require.Equal(t, 1, number("SELECT COUNT(*) FROM login_guard WHERE locked_until > 0"))
	})
}
