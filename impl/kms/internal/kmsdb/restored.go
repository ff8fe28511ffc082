package kmsdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ErrNoAdministrator says that the user who should stay enabled is not an active administrator in the restored copy.
var ErrNoAdministrator = errors.New("the backup has no active administrator of this name")

// Restored has the statements on a restored copy of the kms's database.
type Restored struct{}

// End ends everything created before the time, because what was revoked or withdrawn after the backup can't be known. Sessions, keys, tokens and codes
// end by the restore mark, signing keys and consents at once. Signing keys count as gone since their publication, so that replicas whose clock is behind
// accept nothing they signed, and their private parts are erased. The next start creates new signing keys and gives the revocation feed a new name, which
// makes its followers begin again.
func (Restored) End(ctx context.Context, tx *store.Tx, at time.Time) (err error) {
	defer tried.To(&err, "end what was issued before the restore")
	if err := (Settings{}).MarkRestored(ctx, tx, at); err != nil {
		return err
	}
	now := at.UnixMicro()
	if _, err := tx.Exec(ctx, "UPDATE signing_keys SET sealed_private = NULL, gone_at = published_at, revoked_at = COALESCE(revoked_at, ?)", now); err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM settings WHERE name = 'claim:signing keys'",
		"UPDATE revocation_head SET feed = '' WHERE id = 1",
		"DELETE FROM reset_requests", // from before the restore
		"DELETE FROM root_key_holders",
		"UPDATE keyring_keys SET uses = 4294967296 WHERE keyring_id IN (SELECT id FROM keyrings WHERE algorithm = 'AES-256-GCM')", // the uses since the backup are unknown, so the next use takes a new key
		"DELETE FROM consents", // people are asked for consent again
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

const administers = " status = 'active' AND deleted_at IS NULL AND ' ' || roles || ' ' LIKE '% admin %' "

// DisableUsers disables every user except one administrator, and returns the names of those it has disabled. It fails with ErrNoAdministrator when but is no
// active administrator.
func (Restored) DisableUsers(ctx context.Context, tx *store.Tx, but string, at time.Time) (names []string, err error) {
	defer tried.To(&err, "disable users")
	var n int64
	if err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM users WHERE username = ? AND"+administers, but); err != nil {
		return nil, err
	}
	if n != 1 {
		return nil, ErrNoAdministrator
	}
	err = tx.Select(ctx, &names, `UPDATE users SET status = 'disabled', version = version + 1, token_epoch = token_epoch + 1, updated_at = ?
		WHERE status = 'active' AND deleted_at IS NULL AND username <> ? RETURNING username`, at.UnixMicro(), but)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "UPDATE administration SET active = (SELECT COUNT(*) FROM users WHERE"+administers+") WHERE id = 1")
	return names, err
}

// Users returns the IDs of all users that are not deleted.
func (Restored) Users(ctx context.Context, q store.Querier) (ids []string, err error) {
	defer tried.To(&err, "read users")
	err = q.Select(ctx, &ids, "SELECT id FROM users WHERE deleted_at IS NULL ORDER BY id")
	return ids, err
}

// ActiveUsers returns the number of users who can sign in.
func (Restored) ActiveUsers(ctx context.Context, q store.Querier) (n int64, err error) {
	defer tried.To(&err, "count users")
	err = q.Get(ctx, &n, "SELECT COUNT(*) FROM users WHERE status = 'active' AND deleted_at IS NULL")
	return n, err
}

// Keys describes the API keys that were valid at the time, except those of the family's services, which enrol again by themselves.
func (Restored) Keys(ctx context.Context, q store.Querier, at time.Time) (keys []string, err error) {
	defer tried.To(&err, "read API keys")
	var rows []struct{ ID, Name, Owner string }
	err = q.Select(ctx, &rows, `SELECT k.id, k.name, COALESCE(u.username, s.name, k.owner_id) AS owner FROM api_keys k
		LEFT JOIN users u ON k.owner_kind = 'user' AND u.id = k.owner_id LEFT JOIN services s ON k.owner_kind = 'service' AND s.id = k.owner_id
		WHERE k.revoked_at IS NULL AND k.expires_at > ? AND COALESCE(s.family, 0) = 0 ORDER BY owner, k.id`, at.UnixMicro())
	for _, r := range rows {
		keys = append(keys, fmt.Sprintf("%s (%s) of %s", r.ID, r.Name, r.Owner))
	}
	return keys, err
}
