package search

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/handlers"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/store"
)

// BackupParts returns the parts of the service that a backup covers: its database and, with the embedded engine, the engine's documents. A
// Typesense server is backed up with its own tools.
func BackupParts(c Config) ([]backup.Part, error) {
	database, err := schema.Database(handlers.Word, c.Service)
	if err != nil {
		return nil, err
	}
	parts := []backup.Part{{Name: handlers.Word, Database: database, Mark: markRestored}}
	if c.embedded() {
		parts = append(parts, embedded.BackupPart(handlers.Word+"-documents", filepath.Join(c.DataDir, "engine")))
	}
	return parts, nil
}

func markRestored(ctx context.Context, tx *store.Tx, r *backup.Restored) error {
	if err := searchstore.EndJobs(ctx, tx, r.At); err != nil {
		return fmt.Errorf("end jobs of the backup: %w", err)
	}
	if err := searchstore.LeapVersions(ctx, tx); err != nil {
		return fmt.Errorf("continue with versions above those of the backup: %w", err)
	}
	return audit.AppendLater(ctx, tx, audit.Event{
		At: r.At, Action: audit.RestoreBackup, ActorKind: audit.System, Outcome: audit.OK, Detail: r.Detail(),
	})
}
