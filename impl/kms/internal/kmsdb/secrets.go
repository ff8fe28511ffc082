package kmsdb

import (
	"context"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Secrets implements secret.Rows.
type Secrets struct{}

type secretRow struct {
	Name      string `db:"name"`
	Version   int64  `db:"version"`
	Latest    int64  `db:"latest"`
	Previous  *int64 `db:"previous"`
	Pending   *int64 `db:"pending"`
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
}

func (r secretRow) secret() secret.Secret {
	return secret.Secret{
		Name: r.Name, Version: r.Version, Latest: r.Latest, Previous: value(r.Previous), Pending: value(r.Pending), CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt),
	}
}

// value returns the number of a column; 0 for NULL.
func value(column *int64) int64 {
	if column == nil {
		return 0
	}
	return *column
}

// number converts a number to its stored form; 0 is NULL.
func number(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

const (
	secretColumns = "name, version, latest, previous, pending, created_at, updated_at"
	insertSecret  = "INSERT INTO secrets (name, version, latest, created_at, updated_at) VALUES (?, 1, 1, ?, ?) ON CONFLICT (name) "
	secretRead    = " RETURNING " + secretColumns

	matching = " AND (CAST(? AS TEXT) = '*' OR CAST(? AS TEXT) LIKE '%,' || CAST(version AS TEXT) || ',%')"
)

// Create implements secret.Rows. It returns the secret at version 1; false when the name is taken.
func (Secrets) Create(ctx context.Context, tx *store.Tx, name string, at time.Time) (_ secret.Secret, _ bool, err error) {
	defer tried.To(&err, "insert secret")
	var r secretRow
	created, err := one(ctx, tx, &r, insertSecret+"DO NOTHING"+secretRead, name, at.UnixMicro(), at.UnixMicro())
	return r.secret(), created, err
}

// Advance implements secret.Rows. It returns the secret at its next version; false when it does not exist or its version does not match from. Its row stays
// locked until the transaction ends.
func (Secrets) Advance(ctx context.Context, tx *store.Tx, name string, from etag.Match, at time.Time) (_ secret.Secret, _ bool, err error) {
	defer tried.To(&err, "advance secret")
	var r secretRow
	advanced, err := one(ctx, tx, &r, "UPDATE secrets SET previous = version, version = latest + 1, latest = latest + 1, updated_at = ? WHERE name = ?"+matching+secretRead,
		at.UnixMicro(), name, from.List(), from.List())
	return r.secret(), advanced, err
}

// Propose implements secret.Rows. It returns the secret with its next version pending; false when it does not exist or its version does not match from. Its
// row stays locked until the transaction ends.
func (Secrets) Propose(ctx context.Context, tx *store.Tx, name string, from etag.Match) (_ secret.Secret, _ bool, err error) {
	defer tried.To(&err, "propose version of secret")
	var r secretRow
	proposed, err := one(ctx, tx, &r, "UPDATE secrets SET pending = latest + 1, latest = latest + 1 WHERE name = ?"+matching+secretRead, name, from.List(), from.List())
	return r.secret(), proposed, err
}

// Put implements secret.Rows. It returns the secret at its next version, which is 1 for a new one. Its row stays locked until the transaction ends.
func (Secrets) Put(ctx context.Context, tx *store.Tx, name string, at time.Time) (_ secret.Secret, err error) {
	defer tried.To(&err, "write secret")
	var r secretRow
	err = tx.Get(ctx, &r, insertSecret+`DO UPDATE SET previous = secrets.version, version = secrets.latest + 1, latest = secrets.latest + 1,
		updated_at = excluded.updated_at`+secretRead, name, at.UnixMicro(), at.UnixMicro())
	return r.secret(), err
}

// Lock implements secret.Rows. The row stays locked until the transaction ends; false when there is no such secret.
func (Secrets) Lock(ctx context.Context, tx *store.Tx, name string) (_ secret.Secret, _ bool, err error) {
	defer tried.To(&err, "lock secret")
	var r secretRow
	found, err := one(ctx, tx, &r, "UPDATE secrets SET latest = latest WHERE name = ?"+secretRead, name)
	return r.secret(), found, err
}

// SetStages implements secret.Rows.
func (Secrets) SetStages(ctx context.Context, tx *store.Tx, s secret.Secret) (err error) {
	defer tried.To(&err, "set stages of secret")
	_, err = tx.Exec(ctx, "UPDATE secrets SET version = ?, previous = ?, pending = ?, updated_at = ? WHERE name = ?",
		s.Version, number(s.Previous), number(s.Pending), s.UpdatedAt.UnixMicro(), s.Name)
	return err
}

type versionRow struct {
	Version     int64  `db:"version"`
	CreatedAt   int64  `db:"created_at"`
	DeletedAt   *int64 `db:"deleted_at"`
	DestroyedAt *int64 `db:"destroyed_at"`
}

func (r versionRow) version() secret.Version {
	return secret.Version{Number: r.Version, CreatedAt: at(r.CreatedAt), DeletedAt: fromColumn(r.DeletedAt), DestroyedAt: fromColumn(r.DestroyedAt)}
}

// Version implements secret.Rows; false when there is no such version.
func (Secrets) Version(ctx context.Context, q store.Querier, name string, number int64) (_ secret.SealedVersion, _ bool, err error) {
	defer tried.To(&err, "read version of secret")
	var r struct {
		versionRow
		WrappedKey []byte `db:"wrapped_key"`
		Sealed     []byte `db:"sealed"`
	}
	found, err := one(ctx, q, &r, "SELECT version, created_at, deleted_at, destroyed_at, wrapped_key, sealed FROM secret_versions WHERE name = ? AND version = ?", name, number)
	return secret.SealedVersion{Of: r.version(), WrappedKey: r.WrappedKey, Value: r.Sealed}, found, err
}

// Versions implements secret.Rows.
func (Secrets) Versions(ctx context.Context, q store.Querier, name string, before int64, limit int) (_ []secret.Version, err error) {
	defer tried.To(&err, "read versions of secret")
	var rows []versionRow
	err = q.Select(ctx, &rows, `SELECT version, created_at, deleted_at, destroyed_at FROM secret_versions WHERE name = ? AND (? = 0 OR version < ?)
		ORDER BY version DESC LIMIT ?`, name, before, before, limit)
	versions := make([]secret.Version, len(rows))
	for i, r := range rows {
		versions[i] = r.version()
	}
	return versions, err
}

// SetDeleted implements secret.Rows. A zero time undoes the deletion.
func (Secrets) SetDeleted(ctx context.Context, tx *store.Tx, name string, number int64, at time.Time) (err error) {
	defer tried.To(&err, "mark version of secret")
	_, err = tx.Exec(ctx, "UPDATE secret_versions SET deleted_at = ? WHERE name = ? AND version = ? AND destroyed_at IS NULL", column(at), name, number)
	return err
}

// Shred implements secret.Rows. It erases key and value from the row.
func (Secrets) Shred(ctx context.Context, tx *store.Tx, name string, number int64, at time.Time) (err error) {
	defer tried.To(&err, "shred version of secret")
	_, err = tx.Exec(ctx, "UPDATE secret_versions SET wrapped_key = ?, sealed = ?, destroyed_at = ? WHERE name = ? AND version = ?",
		[]byte{}, []byte{}, at.UnixMicro(), name, number)
	return err
}

// Prune implements secret.Rows.
func (Secrets) Prune(ctx context.Context, tx *store.Tx, s secret.Secret, keep int64) (err error) {
	defer tried.To(&err, "delete old versions of secret")
	_, err = tx.Exec(ctx, "DELETE FROM secret_versions WHERE name = ? AND version <= ? AND version NOT IN (?, ?, ?)",
		s.Name, s.Latest-keep, s.Version, s.Previous, s.Pending)
	return err
}

// InsertVersion implements secret.Rows. An existing version and an unknown secret are database errors.
func (Secrets) InsertVersion(ctx context.Context, tx *store.Tx, s secret.Secret, number int64, at time.Time, wrappedKey, value []byte) (err error) {
	defer tried.To(&err, "insert version of secret")
	_, err = tx.Exec(ctx, "INSERT INTO secret_versions (name, version, wrapped_key, sealed, created_at) VALUES (?, ?, ?, ?, ?)",
		s.Name, number, wrappedKey, value, at.UnixMicro())
	return err
}

type sealedRow struct {
	secretRow
	WrappedKey []byte `db:"wrapped_key"`
	Sealed     []byte `db:"sealed"`
}

const selectSealed = `SELECT s.name, s.version, s.latest, s.previous, s.pending, s.created_at, s.updated_at, v.wrapped_key, v.sealed
	FROM secrets s JOIN secret_versions v ON v.name = s.name AND v.version = s.version WHERE s.name `

// Get implements secret.Rows. It returns the current version; false when there is no such secret.
func (Secrets) Get(ctx context.Context, q store.Querier, name string) (_ secret.Sealed, _ bool, err error) {
	defer tried.To(&err, "read secret")
	var r sealedRow
	found, err := one(ctx, q, &r, selectSealed+"= ?", name)
	return secret.Sealed{Secret: r.secret(), WrappedKey: r.WrappedKey, Value: r.Sealed}, found, err
}

// namesAtOnce bounds the names in one statement.
const namesAtOnce = 64

// Current implements secret.Rows. Names of no secret are left out.
func (Secrets) Current(ctx context.Context, q store.Querier, names []string) (_ map[string]secret.Sealed, err error) {
	defer tried.To(&err, "read secrets")
	found := make(map[string]secret.Sealed, len(names))
	for some := range slices.Chunk(names, namesAtOnce) {
		args := make([]any, 1<<bits.Len(uint(len(some)-1))) // a power of two, to limit the number of prepared statements
		for i := range args {
			args[i] = some[min(i, len(some)-1)]
		}
		var rows []sealedRow
		if err := q.Select(ctx, &rows, selectSealed+"IN ("+store.Marks(len(args))+")", args...); err != nil {
			return nil, err
		}
		for _, r := range rows {
			found[r.Name] = secret.Sealed{Secret: r.secret(), WrappedKey: r.WrappedKey, Value: r.Sealed}
		}
	}
	return found, nil
}

// rangesAtOnce bounds the ranges in one statement.
const rangesAtOnce = 100

// List implements secret.Rows.
func (Secrets) List(ctx context.Context, q store.Querier, among []policy.Range, after string, limit int) (secrets []secret.Secret, err error) {
	defer tried.To(&err, "read secrets")
	for some := range slices.Chunk(among, rangesAtOnce) { // the chunks are sorted, so the results are too
		args := []any{after}
		for _, r := range some {
			args = append(args, r.From, r.Before, r.Before)
		}
		args = append(args, limit-len(secrets))
		var rows []secretRow
		err = q.Select(ctx, &rows, "SELECT "+secretColumns+" FROM secrets WHERE name > ? AND (name >= ? AND (CAST(? AS TEXT) = '' OR name < ?)"+
			strings.Repeat(" OR name >= ? AND (CAST(? AS TEXT) = '' OR name < ?)", len(some)-1)+") ORDER BY name LIMIT ?", args...)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			secrets = append(secrets, r.secret())
		}
		if len(secrets) >= limit {
			break
		}
	}
	return secrets, nil
}
