package kmsdb

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ProofKeys implements credential.ProofRows.
type ProofKeys struct{}

// Register implements credential.ProofRows. An existing ID keeps its key and gets the new service and time. An unknown service is a database error.
func (ProofKeys) Register(ctx context.Context, tx *store.Tx, kid string, public []byte, serviceID string, at time.Time) (err error) {
	defer tried.To(&err, "write proof key")
	_, err = tx.Exec(ctx, `INSERT INTO proof_keys (kid, public_key, service_id, registered_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (kid) DO UPDATE SET service_id = excluded.service_id, registered_at = excluded.registered_at`,
		kid, public, serviceID, at.UnixMicro())
	return err
}

// Key implements credential.ProofRows; false when there is none, it is from before a restore or its service is not active.
func (ProofKeys) Key(ctx context.Context, q store.Querier, kid string) (public []byte, found bool, err error) {
	defer tried.To(&err, "read proof key")
	found, err = one(ctx, q, &public, `SELECT public_key FROM proof_keys
		WHERE kid = ? AND registered_at >= (SELECT not_before FROM restore_mark WHERE id = 1)
			AND service_id IN (SELECT id FROM services WHERE status = 'active')`, kid)
	return public, found, err
}
