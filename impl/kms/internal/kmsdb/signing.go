package kmsdb

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// SigningKeys implements signing.Rows.
type SigningKeys struct{}

type signingRow struct {
	KID           string `db:"kid"`
	Alg           string `db:"alg"`
	PublicKey     []byte `db:"public_key"`
	SealedPrivate []byte `db:"sealed_private"`
	PublishedAt   int64  `db:"published_at"`
	ActiveAt      *int64 `db:"active_at"`
	RetiringAt    *int64 `db:"retiring_at"`
	GoneAt        *int64 `db:"gone_at"`
	RevokedAt     *int64 `db:"revoked_at"`
}

const signingRead = "SELECT kid, alg, public_key, sealed_private, published_at, active_at, retiring_at, gone_at, revoked_at FROM signing_keys "

func (r signingRow) key() signing.Key {
	return signing.Key{
		KID: r.KID, Alg: r.Alg, Public: r.PublicKey, SealedPrivate: r.SealedPrivate, PublishedAt: at(r.PublishedAt),
		ActiveAt: fromColumn(r.ActiveAt), RetiringAt: fromColumn(r.RetiringAt), GoneAt: fromColumn(r.GoneAt), RevokedAt: fromColumn(r.RevokedAt),
	}
}

func signingKeys(rows []signingRow) []signing.Key {
	keys := make([]signing.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys
}

// SigningKeys implements signing.Rows: at most 100 keys, by the time of their publication.
func (SigningKeys) SigningKeys(ctx context.Context, q store.Querier, at time.Time) (_ []signing.Key, err error) {
	defer tried.To(&err, "read signing keys")
	var rows []signingRow
	err = q.Select(ctx, &rows, signingRead+"WHERE gone_at IS NULL OR gone_at > ? ORDER BY published_at, kid LIMIT 100", at.UnixMicro())
	return signingKeys(rows), err
}

// SigningKey implements signing.Rows.
func (SigningKeys) SigningKey(ctx context.Context, q store.Querier, kid string) (_ signing.Key, _ bool, err error) {
	defer tried.To(&err, "read signing key")
	var r signingRow
	found, err := one(ctx, q, &r, signingRead+"WHERE kid = ?", kid)
	return r.key(), found, err
}

// ListSigningKeys implements signing.Rows.
func (SigningKeys) ListSigningKeys(ctx context.Context, q store.Querier, after signing.Place, limit int) (_ []signing.Key, err error) {
	defer tried.To(&err, "list signing keys")
	from := int64(math.MaxInt64)
	if !after.At.IsZero() {
		from = after.At.UnixMicro()
	}
	var rows []signingRow
	err = q.Select(ctx, &rows, signingRead+"WHERE published_at < ? OR (published_at = ? AND kid < ?) ORDER BY published_at DESC, kid DESC LIMIT ?",
		from, from, after.KID, limit)
	return signingKeys(rows), err
}

// InsertSigningKey implements signing.Rows. An existing key ID is a database error.
func (SigningKeys) InsertSigningKey(ctx context.Context, tx *store.Tx, k signing.Key) (err error) {
	defer tried.To(&err, "insert signing key")
	_, err = tx.Exec(ctx, `INSERT INTO signing_keys (kid, alg, public_key, sealed_private, published_at, active_at, retiring_at, gone_at, revoked_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, k.KID, k.Alg, k.Public, k.SealedPrivate,
		column(k.PublishedAt), column(k.ActiveAt), column(k.RetiringAt), column(k.GoneAt), column(k.RevokedAt))
	return err
}

// UpdateSigningKey implements signing.Rows. An unknown key is an error.
func (SigningKeys) UpdateSigningKey(ctx context.Context, tx *store.Tx, k signing.Key) (err error) {
	defer tried.To(&err, "update signing key")
	found, err := changed(ctx, tx, "UPDATE signing_keys SET sealed_private = ?, active_at = ?, retiring_at = ?, gone_at = ?, revoked_at = ? WHERE kid = ?",
		k.SealedPrivate, column(k.ActiveAt), column(k.RetiringAt), column(k.GoneAt), column(k.RevokedAt), k.KID)
	if err == nil && !found {
		err = errors.New("there is no such key")
	}
	return err
}

const erasable = " sealed_private IS NOT NULL AND (retiring_at <= ? OR gone_at <= ?)"

// Erasable implements signing.Rows.
func (SigningKeys) Erasable(ctx context.Context, q store.Querier, since time.Time) (_ bool, err error) {
	defer tried.To(&err, "look for private parts to erase")
	var n int64
	err = q.Get(ctx, &n, "SELECT COUNT(*) FROM signing_keys WHERE"+erasable, since.UnixMicro(), since.UnixMicro())
	return n > 0, err
}

// EraseSigningKeys implements signing.Rows.
func (SigningKeys) EraseSigningKeys(ctx context.Context, tx *store.Tx, since time.Time) (err error) {
	defer tried.To(&err, "erase private parts")
	_, err = tx.Exec(ctx, "UPDATE signing_keys SET sealed_private = NULL WHERE"+erasable, since.UnixMicro(), since.UnixMicro())
	return err
}

// TakeTurn implements signing.Rows. The row of signing_rotation stays locked until the transaction ends.
func (SigningKeys) TakeTurn(ctx context.Context, tx *store.Tx) (err error) {
	defer tried.To(&err, "take the turn of the signing keys")
	_, err = tx.Exec(ctx, "UPDATE signing_rotation SET turns = turns + 1 WHERE id = 1")
	return err
}

// SweepSigningKeys implements signing.Rows.
func (SigningKeys) SweepSigningKeys(ctx context.Context, tx *store.Tx, at time.Time) (err error) {
	defer tried.To(&err, "delete old signing keys")
	_, err = tx.Exec(ctx, "DELETE FROM signing_keys WHERE gone_at < ?", at.UnixMicro())
	return err
}

// Claim implements signing.Rows. The claim of a transaction that is rolled back does not count.
func (SigningKeys) Claim(ctx context.Context, tx *store.Tx, name string) (bool, error) {
	return claim(ctx, tx, name)
}
