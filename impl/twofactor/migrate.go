package twofactor

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/twofactor/internal/handlers"
	factorstore "github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/store"
)

// Migrate applies the migrations that the database of the service lacks. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of twofactor: %w", err)
	}
	return lifecycle.Migrate(ctx, handlers.Word, c.Service, schema)
}

// AbandonDataKey deletes the data key of the service and what was sealed with it. It is for a key that no kms can open any more. Every factor is
// revoked, which the audit trail records, and a new key signs proofs from then on. See lifecycle.AbandonDataKey.
func AbandonDataKey(ctx context.Context, c config.Service) error {
	return lifecycle.AbandonDataKey(ctx, handlers.Word, c, schema, func(ctx context.Context, tx *store.Tx) error {
		return factorstore.DropSealed(ctx, tx, clock.System.Now())
	})
}
