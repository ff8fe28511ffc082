package sequence

import (
	"context"
	"crypto/rand"

	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/config"
	database "github.com/fountainai/fountain/internal/store"
)

// BackupPart returns the database of the service for backup and restore. Of the configuration it needs only the location of the database.
func BackupPart(c config.Service) (backup.Part, error) {
	where, err := schema.Database(word, c)
	return backup.Part{Name: word, Database: where, Mark: markRestored}, err
}

// markRestored marks every element for delivery to the search service, whose copy is from another moment than the backup. It gives the feeds of the
// scopes another name, because positions after that of the backup are given again, to other changes.
func markRestored(ctx context.Context, tx *database.Tx, r *backup.Restored) error {
	if err := searchsync.EnqueueAll(ctx, tx); err != nil {
		return err
	}
	if err := store.RenameFeeds(ctx, tx, rand.Text()); err != nil {
		return err
	}
	r.Note("followers of changes of scopes are refused once and begin again: positions are assigned anew")
	r.Note("every element is brought to the search service again")
	return audit.AppendLater(ctx, tx, audit.Event{
		At: r.At, Action: audit.RestoreBackup, ActorKind: audit.System, Outcome: audit.OK, Detail: r.Detail(),
	})
}
