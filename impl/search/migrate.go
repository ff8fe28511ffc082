package search

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// Migrate brings the database of the service up to date and ends. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of search: %w", err)
	}
	return lifecycle.Migrate(ctx, handlers.Word, c.Service, schema)
}
