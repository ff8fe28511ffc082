package sequence

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/internal/lifecycle"
)

// Migrate brings the database of the service up to date and ends. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of sequence: %w", err)
	}
	return lifecycle.Migrate(ctx, word, c.Service, schema)
}
