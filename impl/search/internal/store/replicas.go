package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// time returns the time for leases and replicas. On PostgreSQL it is the clock of the database, because several processes may share it.
func (s *Store) time(ctx context.Context, q store.Querier) (time.Time, error) {
	if s.clock != clock.System || q.Dialect() != store.PostgreSQL {
		return s.clock.Now(), nil
	}
	var micros int64
	err := q.Get(ctx, &micros, "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")
	return time.UnixMicro(micros).UTC(), err
}

// Now returns the time of the database.
func (s *Store) Now(ctx context.Context) (_ time.Time, err error) {
	defer tried.To(&err, "read the clock of the database")
	return s.time(ctx, s.db.Read(ctx))
}

// Alone cleans up after an earlier process on SQLite. That process is dead, because this one holds the file. Alone ends its leases, deletes
// its replica and lets cached owners live until this process changes them. On PostgreSQL it does nothing.
func (s *Store) Alone(ctx context.Context) (err error) {
	defer tried.To(&err, "end what an earlier process has left")
	if s.db.Dialect() != store.SQLite {
		return nil // another process may be running
	}
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM replicas"); err != nil {
			return err
		}
		return freeLeases(ctx, tx)
	})
	if err == nil {
		s.owners.own()
	}
	return err
}

// inUse selects the collections whose reindex is still active, and not merely keeping the old collection.
const inUse = "reindex <> '' AND EXISTS (SELECT 1 FROM reindexes WHERE reindexes.id = collections.reindex AND reindexes.state <> 'done')"

// Beat implements reindex.ReplicaRows. The time is read before the age of the oldest write, so that the stored time is never later than the
// true one.
func (s *Store) Beat(ctx context.Context, replica string, age func() time.Duration) (active bool, err error) {
	defer tried.To(&err, "record that the replica is alive")
	now, err := s.time(ctx, s.db.Read(ctx))
	if err != nil {
		return false, err
	}
	var of struct {
		Reindexes int64 `db:"reindexes"`
		Held      int64 `db:"held"`
	}
	if err := s.db.Read(ctx).Get(ctx, &of, "SELECT COUNT(*) AS reindexes, COALESCE(SUM(held), 0) AS held FROM collections WHERE "+inUse); err != nil {
		return false, err
	}
	if of.Held > 0 {
		s.owners.forget() // from now on reads see the held collection, and are not cached
	}
	oldest := now.Add(-age())
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO replicas (id, seen_at, oldest) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, oldest = excluded.oldest`, replica, now.UnixMicro(), oldest.UnixMicro())
		return err
	})
	return of.Reindexes > 0, err
}

// Active implements reindex.ReplicaRows.
func (s *Store) Active(ctx context.Context) (_ bool, err error) {
	defer tried.To(&err, "look for reindexes")
	var n int64
	err = s.db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM collections WHERE "+inUse)
	return n > 0, err
}

// OldestWrite returns a time such that no write that is still under way, in any replica, began before it. It returns the zero time if no
// replica has reported.
func (s *Store) OldestWrite(ctx context.Context) (_ time.Time, err error) {
	defer tried.To(&err, "read which writes are under way")
	now, err := s.time(ctx, s.db.Read(ctx))
	if err != nil {
		return time.Time{}, err
	}
	var oldest int64
	err = s.db.Read(ctx).Get(ctx, &oldest, "SELECT COALESCE(MIN(oldest), 0) FROM replicas WHERE seen_at > ?", now.Add(-reindex.DeadAfter).UnixMicro())
	return time.UnixMicro(oldest).UTC(), err
}

// Leave implements reindex.ReplicaRows.
func (s *Store) Leave(ctx context.Context, replica string) (err error) {
	defer tried.To(&err, "remove replica")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM replicas WHERE id = ?", replica)
		return err
	})
}

// sweepReindexes deletes replicas that have ended, reindexes beyond the number that is kept, and notes without a reindex.
func (s *Store) sweepReindexes(ctx context.Context, tx *store.Tx) error {
	now, err := s.time(ctx, tx)
	if err != nil {
		return err
	}
	for _, old := range []store.Rows{
		{Table: "replicas", Key: []string{"id"}, Where: "seen_at < ?", Args: []any{now.Add(-2 * reindex.DeadAfter).UnixMicro()}},
		{Table: "reindex_notes", Key: []string{"reindex", "document"}, Where: "NOT EXISTS (SELECT 1 FROM collections c WHERE c.reindex = reindex_notes.reindex)"},
		{Table: "reindexes", Key: []string{"id"}, Where: `due_at = 0 AND (NOT EXISTS (SELECT 1 FROM collections c WHERE c.tenant = reindexes.tenant AND c.name = reindexes.name AND c.claimed_at = reindexes.claimed_at)
			OR (SELECT COUNT(*) FROM reindexes later WHERE later.tenant = reindexes.tenant AND later.name = reindexes.name AND later.claimed_at = reindexes.claimed_at AND later.id > reindexes.id) >= 100)`},
	} {
		if _, err := old.Delete(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}
