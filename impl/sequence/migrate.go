package sequence

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// Migrate applies the migrations that the database of the service lacks. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of sequence: %w", err)
	}
	return lifecycle.Migrate(ctx, word, c.Service, schema)
}

// AbandonDataKey deletes the data key of the service and the stored answers that are sealed with it. It is for a key that no kms can open any
// more. See lifecycle.AbandonDataKey.
func AbandonDataKey(ctx context.Context, c config.Service) error {
	return lifecycle.AbandonDataKey(ctx, word, c, schema, nil)
}
