// Package store keeps what the search service must remember beside the engine: whose the collections are, answers to keyed creations,
// creations under way and the audit chain.
package store

import (
	"context"
	"embed"
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

// Begin looks for the answer to an earlier request with the key. Without one (known is false) it notes that the creation of
// the collection begins now; begun says that an earlier attempt with the key had begun it and left no answer. Problems are
// those of idempotency.Store.Do; idempotency_conflict is of a key, too, by which another collection was begun.
func (s *Store) Begin(ctx context.Context, key idempotency.Key, collection string) (answer idempotency.Answer, known, begun bool, err error) {
	defer tried.To(&err, "begin creation")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		e := &idempotency.Entry{Key: key}
		if err := s.answers.Claim(ctx, tx, []*idempotency.Entry{e}); err != nil {
			return err
		}
		if answer, known = e.Answer, e.Replayed; !e.Claimed() {
			return e.Err
		}
		var err error
		begun, err = s.begin(ctx, tx, key, collection)
		return err
	})
	return answer, known, begun, err
}

// begin notes that a creation begins, while nobody else gets to use its key.
func (s *Store) begin(ctx context.Context, tx *store.Tx, key idempotency.Key, collection string) (again bool, err error) {
	n, err := tx.Exec(ctx, `INSERT INTO creations (principal, key, collection, begun_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (principal, key) DO NOTHING`, key.Principal, key.Value, collection, s.clock.Now().UnixMicro())
	if err != nil || n == 1 {
		return false, err
	}
	n, err = tx.Exec(ctx, `UPDATE creations SET begun_at = ? WHERE principal = ? AND key = ? AND collection = ?`,
		s.clock.Now().UnixMicro(), key.Principal, key.Value, collection)
	if err == nil && n == 0 { // else both would be made, and one of them without an answer and an event
		err = idempotency.Conflict()
	}
	return true, err
}

// How often, and how long after the time before, Finish tries to store an answer while a repeat looks for it, which takes a few milliseconds.
const (
	finishTries = 20
	finishPause = 50 * time.Millisecond
)

// Finish notes that a collection was made, and stores the answer to a keyed creation with its audit event. When another attempt with the key has stored its answer first,
// it returns that and changes nothing: the collection may have been changed since. A nil key has no answer stored.
func (s *Store) Finish(ctx context.Context, c *owner.Collection, key *idempotency.Key, answer idempotency.Answer, e audit.Event) (_ idempotency.Answer, err error) {
	defer tried.To(&err, "finish creation")
	for tries := 1; ; tries++ {
		stored, err := s.finish(ctx, c, key, answer, e)
		if tries == finishTries || !idempotency.InFlight(err) {
			return stored, err
		}
		select {
		case <-ctx.Done():
			return stored, err
		case <-time.After(finishPause):
		}
	}
}

func (s *Store) finish(ctx context.Context, c *owner.Collection, key *idempotency.Key, answer idempotency.Answer, e audit.Event) (stored idempotency.Answer, err error) {
	stored = answer
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		made := func() error {
			if err := s.made(ctx, tx, c); err != nil {
				return err
			}
			return audit.Append(ctx, tx, e)
		}
		if key == nil {
			return made()
		}
		var err error
		stored, _, err = s.answers.Do(ctx, tx, *key, false, func(ctx context.Context, tx *store.Tx) (int, map[string]string, []byte, error) {
			if _, err := tx.Exec(ctx, `DELETE FROM creations WHERE principal = ? AND key = ?`, key.Principal, key.Value); err != nil {
				return 0, nil, nil, err
			}
			return answer.Status, answer.Header, answer.Body, made()
		})
		return err
	})
	return stored, err
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
