package twofactor

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/twofactor/internal/handlers"
	factorstore "github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

// BackupPart returns the database of the service for backup and restore. Of the configuration it needs only the location of the database.
func BackupPart(c config.Service) (backup.Part, error) {
	database, err := schema.Database(handlers.Word, c)
	return backup.Part{Name: handlers.Word, Database: database, Mark: markRestored}, err
}

// markRestored invalidates in a restored database what must not become valid again (store.EndRestored), and records that in the audit trail.
func markRestored(ctx context.Context, tx *store.Tx, r *backup.Restored) error {
	done, err := factorstore.EndRestored(ctx, tx, r.At, func(subject string) bool { return r.Users[subject] })
	if err != nil {
		return err
	}
	r.Note("codes of before are refused, and what was being enrolled or sent has ended")
	if done.Recovery > 0 {
		r.Note(fmt.Sprintf("%d recovery codes are void; their owners make new ones", done.Recovery))
	}
	if len(done.Strangers) > 0 {
		r.Note("the second factors of users that the backup of the kms does not know are revoked", done.Strangers...)
	}
	return audit.AppendLater(ctx, tx, audit.Event{
		At: r.At, Action: audit.RestoreBackup, ActorKind: audit.System, Outcome: audit.OK, Detail: r.Detail(),
	})
}
