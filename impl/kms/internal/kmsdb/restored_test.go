package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/store"
)

// Users who were disabled after a backup are unknown, so all are disabled except the administrator whom the operator names. The number of administrators, which
// protects the last one, is updated.
func TestDisableUsers_leavesOneAdministrator(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Restored{}
		for _, u := range []struct{ id, name, roles, status string }{
			{"usr_1", "ada", "admin editor", "active"}, {"usr_2", "grace", "admin", "active"}, {"usr_3", "zoe", "administrators", "active"}, {"usr_4", "eve", "admin", "disabled"},
		} {
			s.exec(`INSERT INTO users (id, username, password_hash, roles, status, version, created_at, updated_at) VALUES (?, ?, '', ?, ?, 1, 0, 0)`, u.id, u.name, u.roles, u.status)
		}
		s.exec("UPDATE administration SET active = 2")
		for _, name := range []string{"zoe", "eve", "nobody", ""} {
			require.ErrorIs(s, s.fails(func(ctx context.Context, tx *store.Tx) error {
				_, err := rows.DisableUsers(ctx, tx, name, noon)
				return err
			}), kmsdb.ErrNoAdministrator, name)
		}
		require.EqualValues(s, 3, s.number("SELECT COUNT(*) FROM users WHERE status = 'active'"))
		var names []string
		s.write(func(ctx context.Context, tx *store.Tx) (err error) {
			names, err = rows.DisableUsers(ctx, tx, "ada", noon)
			return err
		})
		require.ElementsMatch(s, []string{"grace", "zoe"}, names)
		require.EqualValues(s, 1, s.number("SELECT active FROM administration"))
		require.EqualValues(s, 2, s.number("SELECT version FROM users WHERE username = 'grace'"))
		require.EqualValues(s, 1, s.number("SELECT version FROM users WHERE username = 'ada'"))
	})
}

// Signing keys from before the restore neither sign nor verify, and the next start creates new ones.
func TestEnd_leavesNoSigningKey(t *testing.T) {
	each(t, func(s suite) {
		insert := "INSERT INTO signing_keys (kid, alg, public_key, sealed_private, published_at, active_at, retiring_at, gone_at, revoked_at) VALUES (?, 'EdDSA', ?, ?, ?, ?, ?, ?, ?)"
		published := noon.Add(-time.Hour).UnixMicro()
		s.exec(insert, "old", []byte{1}, []byte{1}, published, published, nil, nil, nil)
		s.exec(insert, "retired", []byte{1}, []byte{1}, published, published, published, noon.Add(time.Hour).UnixMicro(), nil)
		s.exec(insert, "revoked", []byte{1}, nil, published, published, nil, published, published)
		s.write(func(ctx context.Context, tx *store.Tx) error {
			if first, err := (kmsdb.SigningKeys{}).Claim(ctx, tx, "signing keys"); err != nil || !first {
				s.Error("the first claim fails", err)
			}
			return kmsdb.Restored{}.End(ctx, tx, noon)
		})
		keys, err := kmsdb.SigningKeys{}.SigningKeys(s.Context(), s.q(), noon.Add(-time.Hour))
		require.NoError(s, err)
		require.Empty(s, keys, "also where the clock is behind")
		require.Zero(s, s.number("SELECT COUNT(*) FROM signing_keys WHERE sealed_private IS NOT NULL OR revoked_at IS NULL"))
		require.Equal(s, published, s.number("SELECT revoked_at FROM signing_keys WHERE kid = 'revoked'"))
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.SigningKeys{}.Claim(ctx, tx, "signing keys")
		}))
		require.Equal(s, noon.UnixMicro(), s.number("SELECT not_before FROM restore_mark"))
	})
}

// Consents that were withdrawn after the backup are unknown, so people are asked again.
func TestEnd_leavesNoConsent(t *testing.T) {
	each(t, func(s suite) {
		s.exec("INSERT INTO users (id, username, password_hash, roles, status, version, created_at, updated_at) VALUES ('usr_1', 'ada', '', '', 'active', 1, 0, 0)")
		s.exec(`INSERT INTO clients (id, name, redirect_uris, post_logout_redirect_uris, scopes, trusted, version, created_at, updated_at)
			VALUES ('cli_1', 'Reports', '', '', '', 0, 1, 0, 0)`)
		s.exec("INSERT INTO consents (user_id, client_id, scopes, updated_at) VALUES ('usr_1', 'cli_1', 'openid', 0)")
		s.write(func(ctx context.Context, tx *store.Tx) error { return kmsdb.Restored{}.End(ctx, tx, noon) })
		require.Zero(s, s.number("SELECT COUNT(*) FROM consents"))
		require.EqualValues(s, 1, s.number("SELECT COUNT(*) FROM clients"))
	})
}
