package search

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// Migrate brings the database of the service up to date and ends. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of search: %w", err)
	}
	return lifecycle.Migrate(ctx, handlers.Word, c.Service, schema)
}

// AbandonDataKey deletes the key that the kept answers of the service are sealed with, and the answers: no kms opens it any more. See
// lifecycle.AbandonDataKey.
func AbandonDataKey(ctx context.Context, c config.Service) error {
	return lifecycle.AbandonDataKey(ctx, handlers.Word, c, schema, nil)
}
