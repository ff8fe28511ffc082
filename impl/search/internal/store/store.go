// Package store keeps what the search service must remember beside the engine: whose the collections are, answers to keyed creations,
// creations under way and the audit chain.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations are all that the service's database holds.
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

// New returns a Store over an open database; answers are sealed by its idempotency store.
func New(db *store.DB, answers *idempotency.Store, c clock.Clock) *Store {
	return &Store{db: db, answers: answers, clock: c}
}

var errNew = errors.New("the key is new")

// Begin looks for the answer to an earlier request with the key. Without one (known is false) it notes that the creation of
// the collection begins now; begun says that an earlier attempt with the key had begun it and left no answer. Problems are
// those of idempotency.Store.Do.
func (s *Store) Begin(ctx context.Context, key idempotency.Key, collection string) (answer idempotency.Answer, known, begun bool, err error) {
	defer tried.To(&err, "begin creation")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		answer, known, err = s.answers.Do(ctx, tx, key, false, func(context.Context, *store.Tx) (int, map[string]string, []byte, error) {
			return 0, nil, nil, errNew
		})
		return err
	})
	if !errors.Is(err, errNew) {
		return answer, known, false, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO creations (principal, key, collection, begun_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (principal, key) DO NOTHING`, key.Principal, key.Value, collection, s.clock.Now().UnixMicro())
		if err != nil || n == 1 {
			return err
		}
		n, err = tx.Exec(ctx, `UPDATE creations SET begun_at = ? WHERE principal = ? AND key = ? AND collection = ?`,
			s.clock.Now().UnixMicro(), key.Principal, key.Value, collection)
		begun = n == 1
		return err
	})
	if err != nil {
		return answer, false, false, fmt.Errorf("begin creation: %w", err)
	}
	return answer, false, begun, nil
}

// Finish notes that a collection was made, and stores the answer to a keyed creation with its audit event, or returns the one that another
// request with the key stored first. A nil key stores the event alone.
func (s *Store) Finish(ctx context.Context, c *owner.Collection, key *idempotency.Key, answer idempotency.Answer, e audit.Event) (_ idempotency.Answer, err error) {
	defer tried.To(&err, "finish creation")
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.made(ctx, tx, c); err != nil {
			return err
		}
		if key == nil {
			return audit.Append(ctx, tx, e)
		}
		var err error
		answer, _, err = s.answers.Do(ctx, tx, *key, false, func(ctx context.Context, tx *store.Tx) (int, map[string]string, []byte, error) {
			if _, err := tx.Exec(ctx, `DELETE FROM creations WHERE principal = ? AND key = ?`, key.Principal, key.Value); err != nil {
				return 0, nil, nil, err
			}
			return answer.Status, answer.Header, answer.Body, audit.Append(ctx, tx, e)
		})
		return err
	})
	return answer, err
}

// Tell writes an event of something that is in no row.
func (s *Store) Tell(ctx context.Context, e audit.Event) (err error) {
	defer tried.To(&err, "write audit event")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, e) })
}

// Abandon forgets a keyed creation that the engine refused: its repeat is a new attempt.
func (s *Store) Abandon(ctx context.Context, key idempotency.Key) (err error) {
	defer tried.To(&err, "abandon creation")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM creations WHERE principal = ? AND key = ?`, key.Principal, key.Value)
		return err
	})
}

// Sweep removes what nobody may ask for any more.
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
