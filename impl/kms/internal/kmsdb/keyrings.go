package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/keyring"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Keyrings implements keyring.Rows.
type Keyrings struct{}

type keyringRow struct {
	ID         string `db:"id"`
	Name       string `db:"name"`
	Algorithm  string `db:"algorithm"`
	Version    int64  `db:"version"`
	Current    int64  `db:"current"`
	MinVersion int64  `db:"min_version"`
	MaxUses    int64  `db:"max_uses"`
	Services   string `db:"services"`
	CreatedAt  int64  `db:"created_at"`
	RotatedAt  int64  `db:"rotated_at"`
	DeleteAt   *int64 `db:"delete_at"`
}

const keyringColumns = "id, name, algorithm, version, current, min_version, max_uses, services, created_at, rotated_at, delete_at"

func (r keyringRow) keyring() keyring.Keyring {
	return keyring.Keyring{
		ID: r.ID, Name: r.Name, Algorithm: keyring.Algorithm(r.Algorithm), Version: r.Version, Current: r.Current, MinVersion: r.MinVersion, MaxUses: r.MaxUses,
		Services: strings.Fields(r.Services), CreatedAt: at(r.CreatedAt), RotatedAt: at(r.RotatedAt), DeleteAt: fromColumn(r.DeleteAt),
	}
}

// Insert implements keyring.Rows. It takes the turn of the root key, which serialises the count; the first key needs that turn anyway.
func (Keyrings) Insert(ctx context.Context, tx *store.Tx, k keyring.Keyring, max int) (_ bool, err error) {
	defer tried.To(&err, "insert keyring")
	if _, err := tx.Exec(ctx, "UPDATE root_key SET turns = turns + 1 WHERE id = 1"); err != nil {
		return false, err
	}
	return changed(ctx, tx, "INSERT INTO keyrings ("+keyringColumns+") SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT COUNT(*) FROM keyrings) < ? ON CONFLICT (name) DO NOTHING",
		k.ID, k.Name, string(k.Algorithm), k.Version, k.Current, k.MinVersion, k.MaxUses, join(k.Services), k.CreatedAt.UnixMicro(), k.RotatedAt.UnixMicro(), column(k.DeleteAt), max)
}

// Find implements keyring.Rows.
func (Keyrings) Find(ctx context.Context, q store.Querier, name string) (_ keyring.Keyring, _ bool, err error) {
	defer tried.To(&err, "read keyring")
	var r keyringRow
	found, err := one(ctx, q, &r, "SELECT "+keyringColumns+" FROM keyrings WHERE name = ?", name)
	return r.keyring(), found, err
}

// Lock implements keyring.Rows.
func (Keyrings) Lock(ctx context.Context, tx *store.Tx, name string) (_ keyring.Keyring, _ bool, err error) {
	defer tried.To(&err, "lock keyring")
	var r keyringRow
	found, err := one(ctx, tx, &r, "UPDATE keyrings SET version = version WHERE name = ? RETURNING "+keyringColumns, name)
	return r.keyring(), found, err
}

// Update implements keyring.Rows.
func (Keyrings) Update(ctx context.Context, tx *store.Tx, k keyring.Keyring) (err error) {
	defer tried.To(&err, "update keyring")
	_, err = tx.Exec(ctx, "UPDATE keyrings SET version = ?, current = ?, min_version = ?, max_uses = ?, services = ?, rotated_at = ?, delete_at = ? WHERE id = ?",
		k.Version, k.Current, k.MinVersion, k.MaxUses, join(k.Services), k.RotatedAt.UnixMicro(), column(k.DeleteAt), k.ID)
	return err
}

// List implements keyring.Rows.
func (Keyrings) List(ctx context.Context, q store.Querier, after string, limit int) (found []keyring.Keyring, err error) {
	defer tried.To(&err, "list keyrings")
	var rows []keyringRow
	err = q.Select(ctx, &rows, "SELECT "+keyringColumns+" FROM keyrings WHERE name > ? ORDER BY name LIMIT ?", after, limit)
	for _, r := range rows {
		found = append(found, r.keyring())
	}
	return found, err
}

type keyringKeyRow struct {
	KeyringID string `db:"keyring_id"`
	Number    int64  `db:"number"`
	Sealed    []byte `db:"sealed"`
	WrappedBy int64  `db:"wrapped_by"`
	PublicKey []byte `db:"public_key"`
	Uses      int64  `db:"uses"`
	CreatedAt int64  `db:"created_at"`
}

const keyringKeyRead = "SELECT keyring_id, number, sealed, wrapped_by, public_key, uses, created_at FROM keyring_keys "

func (r keyringKeyRow) key() keyring.Key {
	return keyring.Key{
		Number: r.Number, Public: r.PublicKey, Uses: r.Uses, Sealed: r.Sealed, CreatedAt: at(r.CreatedAt),
		WrappedBy: uint32(r.WrappedBy), //nolint:gosec // it was stored from one
	}
}

// InsertKey implements keyring.Rows. An existing number is a database error.
func (Keyrings) InsertKey(ctx context.Context, tx *store.Tx, keyringID string, k keyring.Key) (err error) {
	defer tried.To(&err, "insert key of keyring")
	_, err = tx.Exec(ctx, "INSERT INTO keyring_keys (keyring_id, number, sealed, wrapped_by, public_key, uses, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		keyringID, k.Number, k.Sealed, int64(k.WrappedBy), k.Public, k.Uses, k.CreatedAt.UnixMicro())
	return err
}

// Key implements keyring.Rows.
func (Keyrings) Key(ctx context.Context, q store.Querier, keyringID string, number int64) (_ keyring.Key, _ bool, err error) {
	defer tried.To(&err, "read key of keyring")
	var r keyringKeyRow
	found, err := one(ctx, q, &r, keyringKeyRead+"WHERE keyring_id = ? AND number = ?", keyringID, number)
	return r.key(), found, err
}

// Keys implements keyring.Rows.
func (Keyrings) Keys(ctx context.Context, q store.Querier, keyringID string, limit int) (keys []keyring.Key, err error) {
	defer tried.To(&err, "read keys of keyring")
	var rows []keyringKeyRow
	err = q.Select(ctx, &rows, keyringKeyRead+"WHERE keyring_id = ? ORDER BY number DESC LIMIT ?", keyringID, limit)
	for _, r := range rows {
		keys = append(keys, r.key())
	}
	return keys, err
}

// Reserve implements keyring.Rows.
func (Keyrings) Reserve(ctx context.Context, tx *store.Tx, keyringID string, number, n, max int64) (_ bool, err error) {
	defer tried.To(&err, "reserve uses of key")
	return changed(ctx, tx, "UPDATE keyring_keys SET uses = uses + ? WHERE keyring_id = ? AND number = ? AND uses + ? <= ?", n, keyringID, number, n, max)
}

// WrappedByOthers implements keyring.Rows.
func (Keyrings) WrappedByOthers(ctx context.Context, q store.Querier, primary uint32, limit int) (found []keyring.Wrapped, err error) {
	defer tried.To(&err, "read keys that are wrapped by an older key")
	var rows []keyringKeyRow
	err = q.Select(ctx, &rows, keyringKeyRead+"WHERE wrapped_by <> ? ORDER BY keyring_id, number LIMIT ?", int64(primary), limit)
	for _, r := range rows {
		found = append(found, keyring.Wrapped{KeyringID: r.KeyringID, Key: r.key()})
	}
	return found, err
}

// Rewrap implements keyring.Rows.
func (Keyrings) Rewrap(ctx context.Context, tx *store.Tx, keyringID string, number int64, from, to uint32, sealed []byte) (err error) {
	defer tried.To(&err, "store key wrapped anew")
	_, err = tx.Exec(ctx, "UPDATE keyring_keys SET sealed = ?, wrapped_by = ? WHERE keyring_id = ? AND number = ? AND wrapped_by = ?",
		sealed, int64(to), keyringID, number, int64(from))
	return err
}

// DeleteDue implements keyring.Rows. It locks the rows first, so that a keyring that is restored concurrently is kept.
func (Keyrings) DeleteDue(ctx context.Context, tx *store.Tx, at time.Time, limit int) (names []string, err error) {
	defer tried.To(&err, "delete keyrings")
	var due []struct {
		ID   string `db:"id"`
		Name string `db:"name"`
	}
	err = tx.Select(ctx, &due, `UPDATE keyrings SET version = version + 1
		WHERE id IN (SELECT id FROM keyrings WHERE delete_at <= ? ORDER BY id LIMIT ?) AND delete_at <= ? RETURNING id, name`, at.UnixMicro(), limit, at.UnixMicro())
	if err != nil {
		return nil, err
	}
	for _, k := range due {
		if _, err := tx.Exec(ctx, "DELETE FROM keyring_keys WHERE keyring_id = ?", k.ID); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM keyrings WHERE id = ?", k.ID); err != nil {
			return nil, err
		}
		names = append(names, k.Name)
	}
	return names, nil
}

// ServiceNamed implements keyring.Rows.
func (Keyrings) ServiceNamed(ctx context.Context, q store.Querier, name string) (_ bool, err error) {
	defer tried.To(&err, "look for service of a name")
	var n int64
	err = q.Get(ctx, &n, "SELECT COUNT(*) FROM services WHERE name = ?", name)
	return n > 0, err
}
