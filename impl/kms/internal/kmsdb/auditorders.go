package kmsdb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/retention"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// AuditOrders implements retention.Rows.
type AuditOrders struct{}

type auditOrderRow struct {
	Service   string `db:"service"`
	After     int64  `db:"after_seq"`
	Seq       int64  `db:"seq"`
	Hash      []byte `db:"hash"`
	SignedAt  int64  `db:"signed_at"`
	PublicKey []byte `db:"public_key"`
	Signature []byte `db:"signature"`
	OrderedBy string `db:"ordered_by"`
}

// PutOrder implements retention.Rows.
func (AuditOrders) PutOrder(ctx context.Context, tx *store.Tx, o retention.Order, now time.Time) (err error) {
	defer tried.To(&err, "store order to an audit trail")
	_, err = tx.Exec(ctx, `INSERT INTO audit_orders (service, after_seq, seq, hash, signed_at, public_key, signature, ordered_by, ordered_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (service) DO UPDATE SET after_seq = excluded.after_seq, seq = excluded.seq, hash = excluded.hash, signed_at = excluded.signed_at,
			public_key = excluded.public_key, signature = excluded.signature, ordered_by = excluded.ordered_by, ordered_at = excluded.ordered_at`,
		o.End.Service, o.After, o.End.Seq, o.End.Hash, o.End.At.UnixMicro(), o.End.PublicKey, o.End.Signature, o.By, now.UnixMicro())
	return err
}

// Order implements retention.Rows; nil when there is none.
func (AuditOrders) Order(ctx context.Context, q store.Querier, service string) (_ *retention.Order, err error) {
	defer tried.To(&err, "read order to an audit trail")
	var r auditOrderRow
	err = q.Get(ctx, &r, "SELECT service, after_seq, seq, hash, signed_at, public_key, signature, ordered_by FROM audit_orders WHERE service = ?", service)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &retention.Order{After: r.After, By: r.OrderedBy, End: audit.Checkpoint{
		Service: r.Service, Seq: r.Seq, Hash: r.Hash, At: at(r.SignedAt), KeyID: audit.KeyName(r.PublicKey), PublicKey: r.PublicKey, Signature: r.Signature,
	}}, nil
}
