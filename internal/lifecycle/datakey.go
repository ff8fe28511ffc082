package lifecycle

import (
	"context"
	"errors"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
)

// AbandonDataKey is for an operator when no kms can unwrap the data key of a service any more. It deletes the key, the answers that were sealed with
// it and, through drop, everything else that was. The next start creates a new key. On SQLite the service must be stopped (store.ErrLocked).
func AbandonDataKey(ctx context.Context, word string, c config.Service, schema Schema, drop func(ctx context.Context, tx *store.Tx) error) error {
	db, err := Open(ctx, word, c, schema)
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := credential.AbandonDataKey(ctx, tx, word); err != nil {
			return err
		}
		if err := idempotency.RemoveAll(ctx, tx); err != nil || drop == nil {
			return err
		}
		return drop(ctx, tx)
	})
	return errors.Join(err, db.Close())
}
