package search

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/handlers"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/store"
)

// Migrate brings the database of the service up to date and ends. Run does the same at every start.
func Migrate(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of search: %w", err)
	}
	address, err := c.DatabaseURL()
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{URL: address, Dir: c.DataDir, Name: handlers.Word, Migrations: searchstore.Migrations, Log: c.Log})
	if err != nil {
		return err
	}
	return db.Close()
}
