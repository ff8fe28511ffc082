package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/internal/store"
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
}

// keyColumns reads a key; one from before a restore reads as revoked by it.
const keyColumns = `id, name, start, owner_kind, owner_id, scopes, follows_owner, created_at, expires_at, last_used_at, replaced_by,
	COALESCE(revoked_at, (SELECT not_before FROM restore_mark WHERE id = 1 AND not_before > created_at)) AS revoked_at`

func (r keyRow) key() apikey.Key {
	k := apikey.Key{
		ID: r.ID, Name: r.Name, Start: r.Start, OwnerKind: r.OwnerKind, OwnerID: r.OwnerID,
		Scopes: strings.Fields(r.Scopes), FollowsOwner: r.FollowsOwner == 1,
		CreatedAt: at(r.CreatedAt), ExpiresAt: at(r.ExpiresAt), LastUsedAt: fromColumn(r.LastUsedAt), RevokedAt: fromColumn(r.RevokedAt),
	}
	if r.ReplacedBy != nil {
		k.ReplacedBy = *r.ReplacedBy
	}
	return k
}

// Insert implements apikey.Rows.
func (APIKeys) Insert(ctx context.Context, tx *store.Tx, k apikey.Key, hash []byte) error {
	_, err := tx.Exec(ctx, `INSERT INTO api_keys (id, hash, name, start, owner_kind, owner_id, scopes, follows_owner, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, k.ID, hash, k.Name, k.Start, k.OwnerKind, k.OwnerID, join(k.Scopes), flag(k.FollowsOwner),
		k.CreatedAt.UnixMicro(), k.ExpiresAt.UnixMicro())
	return err
}

// Get implements apikey.Rows.
func (APIKeys) Get(ctx context.Context, q store.Querier, id string) (apikey.Key, bool, error) {
	var r keyRow
	found, err := one(ctx, q, &r, "SELECT "+keyColumns+" FROM api_keys WHERE id = ?", id)
	return r.key(), found, err
}

// ByHash implements apikey.Rows.
func (APIKeys) ByHash(ctx context.Context, q store.Querier, hashes [][]byte) (apikey.Key, bool, error) {
	args := make([]any, len(hashes))
	for i, hash := range hashes {
		args[i] = hash
	}
	var r keyRow
	found, err := one(ctx, q, &r, "SELECT "+keyColumns+" FROM api_keys WHERE hash IN (?"+strings.Repeat(", ?", len(hashes)-1)+")", args...)
	return r.key(), found, err
}

// List implements apikey.Rows.
func (APIKeys) List(ctx context.Context, q store.Querier, ownerKind, ownerID, before string, limit int) ([]apikey.Key, error) {
	query, args := "SELECT "+keyColumns+" FROM api_keys WHERE 1 = 1", []any{}
	if ownerID != "" {
		query, args = query+" AND owner_kind = ? AND owner_id = ?", append(args, ownerKind, ownerID)
	}
	if before != "" {
		query, args = query+" AND id < ?", append(args, before)
	}
	var rows []keyRow
	err := q.Select(ctx, &rows, query+" ORDER BY id DESC LIMIT ?", append(args, limit)...)
	keys := make([]apikey.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys, err
}

// works is the condition under which a key is good; its placeholder is the time.
const works = " revoked_at IS NULL AND expires_at > ? AND" + afterRestore

// Replace implements apikey.Rows. The row's lock makes two at once come one after the other, and the second sees the first.
func (APIKeys) Replace(ctx context.Context, tx *store.Tx, id, successor string, at, expires, patience time.Time) (apikey.Replacement, bool, error) {
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

// Revoke implements apikey.Rows.
func (APIKeys) Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error) {
	return changed(ctx, tx, "UPDATE api_keys SET revoked_at = ?, revoked_for = ? WHERE id = ? AND revoked_at IS NULL", at.UnixMicro(), reason, id)
}

// RevokeUnused implements apikey.Rows. A key that was revoked already stays revoked since then.
func (APIKeys) RevokeUnused(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error) {
	return changed(ctx, tx, `UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?), revoked_for = COALESCE(revoked_for, ?)
		WHERE id = ? AND last_used_at IS NULL`, at.UnixMicro(), reason, id)
}

// revokeOwned revokes every key of an owner.
func revokeOwned(ctx context.Context, tx *store.Tx, ownerKind, ownerID string, at time.Time, reason string) error {
	_, err := tx.Exec(ctx, "UPDATE api_keys SET revoked_at = ?, revoked_for = ? WHERE owner_kind = ? AND owner_id = ? AND revoked_at IS NULL",
		at.UnixMicro(), reason, ownerKind, ownerID)
	return err
}

// FirstUse implements apikey.Rows.
func (APIKeys) FirstUse(ctx context.Context, tx *store.Tx, id string, at time.Time) (bool, error) {
	return changed(ctx, tx, "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND"+works, at.UnixMicro(), id, at.UnixMicro())
}

// Used implements apikey.Rows.
func (APIKeys) Used(ctx context.Context, tx *store.Tx, uses map[string]time.Time) error {
	for id, at := range uses {
		if _, err := tx.Exec(ctx, "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)",
			at.UnixMicro(), id, at.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}
