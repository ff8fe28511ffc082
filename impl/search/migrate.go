package search

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// Migrate migrates the database of the service and returns. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of search: %w", err)
	}
	return lifecycle.Migrate(ctx, handlers.Word, c.Service, schema)
}

// AbandonDataKey deletes the service's data key together with the stored answers that it seals, for use when no kms can open the key any
// more. See lifecycle.AbandonDataKey.
func AbandonDataKey(ctx context.Context, c config.Service) error {
	return lifecycle.AbandonDataKey(ctx, handlers.Word, c, schema, nil)
}
