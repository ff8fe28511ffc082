// Package kmsdb has the tables of the kms and the statements on them. Each guarantee is a single statement here; the interface in the domain package
// documents its purpose. Unless a method says otherwise, its only errors are those of the database, wrapped with what was tried.
package kmsdb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the tables; its numbers start at 00100.
var Migrations = sub(files, "migrations")

func sub(fsys fs.FS, dir string) fs.FS {
	out, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(err) // dir is a constant
	}
	return out
}

// afterRestore is the condition on created_at that excludes rows from before a restore.
const afterRestore = " created_at >= (SELECT not_before FROM restore_mark WHERE id = 1) "

// one reads a row; false when there is none.
func one(ctx context.Context, q store.Querier, dst any, query string, args ...any) (bool, error) {
	err := q.Get(ctx, dst, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// changed runs a statement that changes one row or none.
func changed(ctx context.Context, tx *store.Tx, query string, args ...any) (bool, error) {
	rows, err := tx.Exec(ctx, query, args...)
	return rows == 1, err
}

// column converts a time to its stored form; the zero time is NULL.
func column(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	at := t.UnixMicro()
	return &at
}

// fromColumn converts a stored time; NULL is the zero time.
func fromColumn(column *int64) time.Time {
	if column == nil {
		return time.Time{}
	}
	return time.UnixMicro(*column).UTC()
}

func at(column int64) time.Time { return fromColumn(&column) }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func join(words []string) string { return strings.Join(words, " ") }

// Settings stores the settings that are fixed at the first start, and the restore mark.
type Settings struct{}

// Fix stores a setting unless it exists, and returns the stored value.
func (Settings) Fix(ctx context.Context, tx *store.Tx, name, value string) (_ string, err error) {
	defer tried.To(&err, "fix setting")
	_, err = tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, value)
	if err != nil {
		return "", err
	}
	stored := ""
	_, err = one(ctx, tx, &stored, "SELECT value FROM settings WHERE name = ?", name)
	return stored, err
}

// Setting returns a setting, or "" when it does not exist.
func (Settings) Setting(ctx context.Context, q store.Querier, name string) (value string, err error) {
	defer tried.To(&err, "read setting")
	_, err = one(ctx, q, &value, "SELECT value FROM settings WHERE name = ?", name)
	return value, err
}

// Change replaces an existing setting and returns its old value.
func (Settings) Change(ctx context.Context, tx *store.Tx, name, value string) (was string, err error) {
	defer tried.To(&err, "change setting")
	if err := tx.Get(ctx, &was, "UPDATE settings SET value = value WHERE name = ? RETURNING value", name); err != nil { // locks the row against concurrent changes
		return "", err
	}
	_, err = tx.Exec(ctx, "UPDATE settings SET value = ? WHERE name = ?", value, name)
	return was, err
}

// MarkRestored invalidates everything that was created before at.
func (Settings) MarkRestored(ctx context.Context, tx *store.Tx, at time.Time) (err error) {
	defer tried.To(&err, "write restore mark")
	_, err = tx.Exec(ctx, "UPDATE restore_mark SET not_before = ? WHERE id = 1 AND not_before < ?", at.UnixMicro(), at.UnixMicro())
	return err
}

// Keysets implements vault.Rows.
type Keysets struct{}

// Roots implements vault.Rows. It returns at most 100 IDs, none for an empty database.
func (Keysets) Roots(ctx context.Context, q store.Querier) (ids []string, err error) {
	defer tried.To(&err, "read ids of root keys")
	err = q.Select(ctx, &ids, "SELECT DISTINCT root_id FROM keysets ORDER BY root_id LIMIT 100")
	return ids, err
}

// Keyset implements vault.Rows.
func (Keysets) Keyset(ctx context.Context, q store.Querier, name string) (sealed []byte, found bool, err error) {
	defer tried.To(&err, "read keyset")
	found, err = one(ctx, q, &sealed, "SELECT sealed FROM keysets WHERE name = ?", name)
	return sealed, found, err
}

// InsertKeyset implements vault.Rows. An existing keyset of the name stays, without an error.
func (Keysets) InsertKeyset(ctx context.Context, tx *store.Tx, name, rootID string, sealed []byte, at int64) (err error) {
	defer tried.To(&err, "insert keyset")
	_, err = tx.Exec(ctx, "INSERT INTO keysets (name, root_id, sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
		name, rootID, sealed, at)
	return err
}

// claim returns true for the first transaction that claims the name, and false for all later ones.
func claim(ctx context.Context, tx *store.Tx, name string) (bool, error) {
	first, err := changed(ctx, tx, "INSERT INTO settings (name, value) VALUES (?, 'done') ON CONFLICT (name) DO NOTHING", "claim:"+name)
	if err != nil {
		return false, fmt.Errorf("claim %s: %w", name, err)
	}
	return first, nil
}
