package sequence

import (
	"context"
	"fmt"

	database "github.com/fountainai/fountain/internal/store"
)

// Migrate brings the database of the service up to date and ends. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of sequence: %w", err)
	}
	address, err := c.DatabaseURL()
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, database.Config{URL: address, Dir: c.DataDir, Name: word, Migrations: migrations, Log: c.Log})
	if err != nil {
		return err
	}
	return db.Close()
}
