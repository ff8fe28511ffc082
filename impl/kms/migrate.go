package kms

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// Migrate brings the kms's database schema up to date and returns. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of kms: %w", err)
	}
	return lifecycle.Migrate(ctx, handlers.Word, c.Service, schema)
}
