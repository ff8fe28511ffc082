package kmsdb

import (
	"context"
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
}

// SigningKeys implements signing.Rows: at most 100 keys by the time they were published; none is no error.
func (SigningKeys) SigningKeys(ctx context.Context, q store.Querier, at time.Time) (_ []signing.Key, err error) {
	defer tried.To(&err, "read signing keys")
	var rows []signingRow
	err = q.Select(ctx, &rows, `SELECT kid, alg, public_key, sealed_private, published_at, active_at, retiring_at, gone_at FROM signing_keys
		WHERE gone_at IS NULL OR gone_at > ? ORDER BY published_at, kid LIMIT 100`, at.UnixMicro())
	keys := make([]signing.Key, len(rows))
	for i, r := range rows {
		keys[i] = signing.Key{
			KID: r.KID, Alg: r.Alg, Public: r.PublicKey, SealedPrivate: r.SealedPrivate,
			PublishedAt: fromColumn(&r.PublishedAt), ActiveAt: fromColumn(r.ActiveAt),
			RetiringAt: fromColumn(r.RetiringAt), GoneAt: fromColumn(r.GoneAt),
		}
	}
	return keys, err
}

// InsertSigningKey implements signing.Rows. A key id that is there is the database's error.
func (SigningKeys) InsertSigningKey(ctx context.Context, tx *store.Tx, k signing.Key) (err error) {
	defer tried.To(&err, "insert signing key")
	_, err = tx.Exec(ctx, `INSERT INTO signing_keys (kid, alg, public_key, sealed_private, published_at, active_at, retiring_at, gone_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, k.KID, k.Alg, []byte(k.Public), k.SealedPrivate,
		column(k.PublishedAt), column(k.ActiveAt), column(k.RetiringAt), column(k.GoneAt))
	return err
}

// Claim implements signing.Rows: false when the name was claimed before. A transaction that is rolled back claims nothing.
func (SigningKeys) Claim(ctx context.Context, tx *store.Tx, name string) (bool, error) {
	return claim(ctx, tx, name)
}
