package kmsdb

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/credential"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// APIKeys implements apikey.Rows.
type APIKeys struct{}

type keyRow struct {
	ID           string  `db:"id"`
	Name         string  `db:"name"`
	Start        string  `db:"start"`
	OwnerKind    string  `db:"owner_kind"`
	OwnerID      string  `db:"owner_id"`
	Scopes       string  `db:"scopes"`
	FollowsOwner int64   `db:"follows_owner"`
	CreatedAt    int64   `db:"created_at"`
	ExpiresAt    int64   `db:"expires_at"`
	LastUsedAt   *int64  `db:"last_used_at"`
	RevokedAt    *int64  `db:"revoked_at"`
	ReplacedBy   *string `db:"replaced_by"`
	ParentID     *string `db:"parent_id"`
	RootID       string  `db:"root_id"`
	GrantedUntil int64   `db:"granted_until"`
	Life         int64   `db:"life"`
	Tenant       string  `db:"tenant"`
	Metadata     string  `db:"metadata"`
	RateLimit    int64   `db:"rate_limit"`
	RateWindow   int64   `db:"rate_window"`
	Uses         int64   `db:"uses"`
	Version      int64   `db:"version"`
}

// keyColumns are the columns of a key. A key from before a restore reads as revoked at the time of the restore mark.
const keyColumns = `id, name, start, owner_kind, owner_id, scopes, follows_owner, created_at, expires_at, last_used_at, replaced_by, parent_id, root_id, granted_until, life, tenant, metadata, rate_limit, rate_window,
	uses, version, COALESCE(revoked_at, (SELECT not_before FROM restore_mark WHERE id = 1 AND not_before > created_at)) AS revoked_at`

func (r keyRow) key() apikey.Key {
	k := apikey.Key{
		ID: r.ID, Name: r.Name, Start: r.Start, Owner: authority.Ref{Kind: r.OwnerKind, ID: r.OwnerID},
		Scopes: strings.Fields(r.Scopes), FollowsOwner: r.FollowsOwner == 1,
		CreatedAt: at(r.CreatedAt), ExpiresAt: at(r.ExpiresAt), LastUsedAt: fromColumn(r.LastUsedAt), RevokedAt: fromColumn(r.RevokedAt),
	}
	k.RootID, k.GrantedUntil, k.Life, k.Tenant = r.RootID, at(r.GrantedUntil), time.Duration(r.Life)*time.Microsecond, r.Tenant
	k.Limit, k.Uses, k.Version = apikey.RateLimit{Uses: r.RateLimit, Window: time.Duration(r.RateWindow) * time.Second}, r.Uses, r.Version
	if r.Metadata != "" {
		_ = json.Unmarshal([]byte(r.Metadata), &k.Metadata) // written by metadata below
	}
	if r.ReplacedBy != nil {
		k.ReplacedBy = *r.ReplacedBy
	}
	if r.ParentID != nil {
		k.ParentID = *r.ParentID
	}
	return k
}

// metadata converts a key's metadata to its stored form.
func metadata(words map[string]string) string {
	if len(words) == 0 {
		return ""
	}
	raw, err := json.Marshal(words)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(raw)
}

// Insert stores a key with the hash of its text. An existing ID or hash is a database error.
func (APIKeys) Insert(ctx context.Context, tx *store.Tx, k apikey.Key, hash []byte) (err error) {
	defer tried.To(&err, "insert key")
	var parent *string
	if k.ParentID != "" {
		parent = &k.ParentID
	}
	_, err = tx.Exec(ctx, `INSERT INTO api_keys (id, hash, name, start, owner_kind, owner_id, scopes, follows_owner, created_at, expires_at,
			parent_id, root_id, granted_until, life, tenant, metadata, rate_limit, rate_window)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, k.ID, hash, k.Name, k.Start, k.Owner.Kind, k.Owner.ID, join(k.Scopes), flag(k.FollowsOwner),
		k.CreatedAt.UnixMicro(), k.ExpiresAt.UnixMicro(), parent, k.RootID, k.GrantedUntil.UnixMicro(), k.Life.Microseconds(), k.Tenant,
		metadata(k.Metadata), k.Limit.Uses, int64(k.Limit.Window/time.Second))
	return err
}

// Update writes name, metadata and limit if the key is at version from; false when it is at another version or does not exist.
func (APIKeys) Update(ctx context.Context, tx *store.Tx, k apikey.Key, from int64) (_ bool, err error) {
	defer tried.To(&err, "update key row")
	return changed(ctx, tx, "UPDATE api_keys SET name = ?, metadata = ?, rate_limit = ?, rate_window = ?, version = ? WHERE id = ? AND version = ?",
		k.Name, metadata(k.Metadata), k.Limit.Uses, int64(k.Limit.Window/time.Second), k.Version, k.ID, from)
}

// Get implements apikey.Rows: the key in any state; false when there is none.
func (APIKeys) Get(ctx context.Context, q store.Querier, id string) (_ apikey.Key, _ bool, err error) {
	defer tried.To(&err, "read key")
	var r keyRow
	found, err := one(ctx, q, &r, "SELECT "+keyColumns+" FROM api_keys WHERE id = ?", id)
	return r.key(), found, err
}

// ByHash implements credential.KeyRows: the key in any state; false when none has one of the hashes. There must be at least one hash.
func (APIKeys) ByHash(ctx context.Context, q store.Querier, hashes [][]byte) (_ apikey.Key, _ bool, err error) {
	defer tried.To(&err, "read key by its sum")
	args := make([]any, len(hashes))
	for i, hash := range hashes {
		args[i] = hash
	}
	var r keyRow
	found, err := one(ctx, q, &r, "SELECT "+keyColumns+" FROM api_keys WHERE hash IN (?"+strings.Repeat(", ?", len(hashes)-1)+")", args...)
	return r.key(), found, err
}

// List implements apikey.Rows: at most limit keys, in any state.
func (APIKeys) List(ctx context.Context, q store.Querier, owner authority.Ref, before string, limit int) (_ []apikey.Key, err error) {
	defer tried.To(&err, "read keys")
	query, args := "SELECT "+keyColumns+" FROM api_keys WHERE 1 = 1", []any{}
	if owner.ID != "" {
		query, args = query+" AND owner_kind = ? AND owner_id = ?", append(args, owner.Kind, owner.ID)
	}
	if before != "" {
		query, args = query+" AND id < ?", append(args, before)
	}
	var rows []keyRow
	err = q.Select(ctx, &rows, query+" ORDER BY id DESC LIMIT ?", append(args, limit)...)
	keys := make([]apikey.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys, err
}

// works is the condition that a key is valid. Its placeholder is the time.
const works = " revoked_at IS NULL AND expires_at > ? AND" + afterRestore

// Replace implements apikey.Rows. The row lock serialises concurrent calls, and the second one sees the result of the first.
func (APIKeys) Replace(ctx context.Context, tx *store.Tx, id, successor string, at, expires, patience time.Time) (_ apikey.Replacement, _ bool, err error) {
	defer tried.To(&err, "mark key as replaced")
	var done apikey.Replacement
	var prior *string
	if _, err := one(ctx, tx, &prior, "SELECT replaced_by FROM api_keys WHERE id = ?", id); err != nil {
		return done, false, err
	}
	same, args := "replaced_by IS NULL", []any{successor, at.UnixMicro(), expires.UnixMicro(), expires.UnixMicro(), id, at.UnixMicro()}
	if prior != nil {
		done.Prior = *prior
		same = "replaced_by = ? AND replaced_at < ?"
		args = append(args, *prior, patience.UnixMicro())
	}
	var end int64
	replaced, err := one(ctx, tx, &end, `UPDATE api_keys SET replaced_by = ?, replaced_at = ?, expires_at = CASE WHEN expires_at < ? THEN expires_at ELSE ? END
		WHERE id = ? AND`+works+`AND `+same+` RETURNING expires_at`, args...)
	done.OldExpires = fromColumn(&end)
	return done, replaced, err
}

// Working returns the number of the owner's valid keys at the time.
func (APIKeys) Working(ctx context.Context, q store.Querier, owner authority.Ref, at time.Time) (n int, err error) {
	defer tried.To(&err, "count working keys")
	err = q.Get(ctx, &n, "SELECT COUNT(*) FROM api_keys WHERE owner_kind = ? AND owner_id = ? AND"+works, owner.Kind, owner.ID, at.UnixMicro())
	return n, err
}

// RevokeLineage revokes a key and all its descendants, and returns the IDs of those that it has revoked. The caller has locked the owner's row, so that no
// successor is created meanwhile.
func (APIKeys) RevokeLineage(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (ids []string, err error) {
	defer tried.To(&err, "mark lineage as revoked")
	alive := store.Rows{Table: "api_keys", Key: []string{"id"}, Args: []any{id}, Where: `revoked_at IS NULL AND id IN (WITH RECURSIVE lineage (id) AS (
			SELECT id FROM api_keys WHERE id = ?
			UNION
			SELECT k.id FROM api_keys k JOIN lineage l ON k.parent_id = l.id
		) SELECT id FROM lineage)`}
	if err := alive.Lock(ctx, tx); err != nil { // in the same order as Used, to avoid deadlocks
		return nil, err
	}
	err = tx.Select(ctx, &ids, "UPDATE api_keys SET revoked_at = ?, revoked_for = ? WHERE "+alive.Where+" RETURNING id", at.UnixMicro(), reason, id)
	return ids, err
}

// Sweep deletes at most limit keys that ended before the time, and returns how many. The ancestors of such a key have ended too, because a replaced key
// works for at most a week.
func (APIKeys) Sweep(ctx context.Context, tx *store.Tx, before time.Time, limit int) (_ int64, err error) {
	defer tried.To(&err, "delete old keys")
	end := before.UnixMicro()
	return store.Rows{Table: "api_keys", Key: []string{"id"}, Where: `id IN (SELECT k.id FROM api_keys k
		WHERE k.expires_at < ? OR k.revoked_at < ? ORDER BY k.id LIMIT ?)`, Args: []any{end, end, limit}}.Delete(ctx, tx)
}

// Revoke implements apikey.Rows; false when the key was already revoked or does not exist.
func (APIKeys) Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (_ bool, err error) {
	defer tried.To(&err, "mark key as revoked")
	return changed(ctx, tx, "UPDATE api_keys SET revoked_at = ?, revoked_for = ? WHERE id = ? AND revoked_at IS NULL", at.UnixMicro(), reason, id)
}

// RevokeUnused implements apikey.Rows; false when the key was used or does not exist. A key that was already revoked keeps its time of revocation.
func (APIKeys) RevokeUnused(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (_ bool, err error) {
	defer tried.To(&err, "mark unused key as revoked")
	return changed(ctx, tx, `UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?), revoked_for = COALESCE(revoked_for, ?)
		WHERE id = ? AND last_used_at IS NULL`, at.UnixMicro(), reason, id)
}

// revokeOwned revokes every key of an owner. The caller raises the owner's epoch, which ends the keys' tokens.
func revokeOwned(ctx context.Context, tx *store.Tx, ownerKind, ownerID string, at time.Time, reason string) error {
	owned := store.Rows{Table: "api_keys", Key: []string{"id"}, Where: "owner_kind = ? AND owner_id = ? AND revoked_at IS NULL", Args: []any{ownerKind, ownerID}}
	if err := owned.Lock(ctx, tx); err != nil { // in the same order as Used, to avoid deadlocks
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE api_keys SET revoked_at = ?, revoked_for = ? WHERE "+owned.Where, append([]any{at.UnixMicro(), reason}, owned.Args...)...)
	return err
}

// FirstUse implements credential.KeyRows; false when the key is revoked, expired, from before a restore or does not exist.
func (APIKeys) FirstUse(ctx context.Context, tx *store.Tx, id string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "write first use of key")
	return changed(ctx, tx, "UPDATE api_keys SET last_used_at = ?, uses = uses + 1 WHERE id = ? AND"+works, at.UnixMicro(), id, at.UnixMicro())
}

// Used implements credential.KeyRows. It ignores keys that do not exist any more. The time of the last use never goes back.
func (APIKeys) Used(ctx context.Context, tx *store.Tx, uses map[string]credential.Use) (err error) {
	defer tried.To(&err, "write uses of keys")
	for _, id := range slices.Sorted(maps.Keys(uses)) { // in a fixed order, so that two replicas can't deadlock
		u := uses[id]
		if _, err := tx.Exec(ctx, `UPDATE api_keys SET uses = uses + ?, last_used_at = CASE WHEN last_used_at > ? THEN last_used_at ELSE ? END WHERE id = ?`,
			u.Times, u.Last.UnixMicro(), u.Last.UnixMicro(), id); err != nil {
			return err
		}
	}
	return nil
}
