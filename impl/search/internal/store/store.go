// Package store is the search service's own database. It holds what the engine does not: owners and grants of collections, schemas,
// reindexes, jobs, search sets, versions of documents, answers to keyed creations, creations under way and the audit trail.
package store

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates all tables of the service's database.
var Migrations = []fs.FS{audit.Migrations, idempotency.Migrations, credential.Migrations, must(fs.Sub(files, "migrations"))}

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

// Store is the service's database. It is safe for concurrent use.
type Store struct {
	db      *store.DB
	answers *idempotency.Store
	clock   clock.Clock
	owners  ownerCache
}

// New returns a Store over an open database. answers seals the stored answers.
func New(db *store.DB, answers *idempotency.Store, c clock.Clock) *Store {
	return &Store{db: db, answers: answers, clock: c}
}

// Tell writes an audit event for something that has no row.
func (s *Store) Tell(ctx context.Context, e audit.Event) (err error) {
	defer tried.To(&err, "write audit event")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, e) })
}

// Sweep deletes expired rows.
func (s *Store) Sweep(ctx context.Context) (err error) {
	defer tried.To(&err, "delete old rows")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		before := s.clock.Now().Add(-2 * idempotency.Life)
		if _, err := tx.Exec(ctx, `DELETE FROM creations WHERE begun_at < ?`, before.Truncate(time.Microsecond).UnixMicro()); err != nil {
			return err
		}
		if err := s.sweepReindexes(ctx, tx); err != nil {
			return err
		}
		if err := s.sweepJobs(ctx, tx); err != nil {
			return err
		}
		if err := s.sweepVersions(ctx, tx); err != nil {
			return err
		}
		_, err := s.answers.Sweep(ctx, tx)
		return err
	})
}
