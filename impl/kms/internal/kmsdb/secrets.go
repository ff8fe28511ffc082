package kmsdb

import (
	"context"
	"time"

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
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
}

func (r secretRow) secret() secret.Secret {
	return secret.Secret{Name: r.Name, Version: r.Version, CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt)}
}

const (
	insertSecret = "INSERT INTO secrets (name, version, created_at, updated_at) VALUES (?, 1, ?, ?) ON CONFLICT (name) "
	secretRead   = " RETURNING name, version, created_at, updated_at"
)

// Create implements secret.Rows: the secret at version 1, false when there is one of the name.
func (Secrets) Create(ctx context.Context, tx *store.Tx, name string, at time.Time) (_ secret.Secret, _ bool, err error) {
	defer tried.To(&err, "insert secret")
	var r secretRow
	created, err := one(ctx, tx, &r, insertSecret+"DO NOTHING"+secretRead, name, at.UnixMicro(), at.UnixMicro())
	return r.secret(), created, err
}

// Advance implements secret.Rows: the secret at its next version, false when it is not there or not at a version of from. Its row stays locked until
// the transaction ends.
func (Secrets) Advance(ctx context.Context, tx *store.Tx, name string, from etag.Match, at time.Time) (_ secret.Secret, _ bool, err error) {
	defer tried.To(&err, "advance secret")
	var r secretRow
	advanced, err := one(ctx, tx, &r, "UPDATE secrets SET version = version + 1, updated_at = ? WHERE name = ?"+
		" AND (CAST(? AS TEXT) = '*' OR CAST(? AS TEXT) LIKE '%,' || CAST(version AS TEXT) || ',%')"+secretRead,
		at.UnixMicro(), name, from.List(), from.List())
	return r.secret(), advanced, err
}

// Put implements secret.Rows: the secret at its next version, 1 when there was none. Its row stays locked until the transaction ends.
func (Secrets) Put(ctx context.Context, tx *store.Tx, name string, at time.Time) (_ secret.Secret, err error) {
	defer tried.To(&err, "write secret")
	var r secretRow
	err = tx.Get(ctx, &r, insertSecret+"DO UPDATE SET version = secrets.version + 1, updated_at = excluded.updated_at"+secretRead,
		name, at.UnixMicro(), at.UnixMicro())
	return r.secret(), err
}

// InsertVersion implements secret.Rows. A version that is there, or one of no secret, is the database's error.
func (Secrets) InsertVersion(ctx context.Context, tx *store.Tx, s secret.Secret, wrappedKey, value []byte) (err error) {
	defer tried.To(&err, "insert version of secret")
	_, err = tx.Exec(ctx, "INSERT INTO secret_versions (name, version, wrapped_key, sealed, created_at) VALUES (?, ?, ?, ?, ?)",
		s.Name, s.Version, wrappedKey, value, s.UpdatedAt.UnixMicro())
	return err
}

// Get implements secret.Rows: the current version, false when there is no secret of the name.
func (Secrets) Get(ctx context.Context, q store.Querier, name string) (_ secret.Sealed, _ bool, err error) {
	defer tried.To(&err, "read secret")
	var r struct {
		secretRow
		WrappedKey []byte `db:"wrapped_key"`
		Sealed     []byte `db:"sealed"`
	}
	found, err := one(ctx, q, &r, `SELECT s.name, s.version, s.created_at, s.updated_at, v.wrapped_key, v.sealed
		FROM secrets s JOIN secret_versions v ON v.name = s.name AND v.version = s.version WHERE s.name = ?`, name)
	return secret.Sealed{Secret: r.secret(), WrappedKey: r.WrappedKey, Value: r.Sealed}, found, err
}

// List implements secret.Rows: at most limit secrets; none is no error. Names are of a-z, 0-9, "-" and ".", and "/" is the character after ".".
func (Secrets) List(ctx context.Context, q store.Querier, owner, after string, limit int) (_ []secret.Secret, err error) {
	defer tried.To(&err, "read secrets")
	var rows []secretRow
	err = q.Select(ctx, &rows, `SELECT name, version, created_at, updated_at FROM secrets
		WHERE name > ? AND (? = '' OR name = ? OR (name >= ? AND name < ?)) ORDER BY name LIMIT ?`,
		after, owner, owner, owner+".", owner+"/", limit)
	secrets := make([]secret.Secret, len(rows))
	for i, r := range rows {
		secrets[i] = r.secret()
	}
	return secrets, err
}
