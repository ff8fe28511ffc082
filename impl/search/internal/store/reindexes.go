package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// reindexRow is a row of reindexes.
type reindexRow struct {
	ID, Tenant, Name      string
	ClaimedAt             int64 `db:"claimed_at"`
	State, Source, Target string
	Wanted, Earlier       string
	SchemaVersion         int64 `db:"schema_version"`
	KeepOld               int64 `db:"keep_old"`
	Documents, Copied     int64
	CaughtUp              int64 `db:"caught_up"`
	Refused               int64
	Failure, Reason       string
	Cleanup               string
	CleanupAt             int64 `db:"cleanup_at"`
	StartedAt             int64 `db:"started_at"`
	ChangedAt             int64 `db:"changed_at"`
}

const selectReindexes = `SELECT id, tenant, name, claimed_at, state, source, target, wanted, earlier, schema_version, keep_old, documents, copied, caught_up,
	(SELECT COUNT(*) FROM reindex_notes n WHERE n.reindex = reindexes.id AND n.refused = 1) AS refused, failure, reason, cleanup, cleanup_at, started_at, changed_at FROM reindexes `

func (r *reindexRow) reindex() (*reindex.Reindex, error) {
	wanted, err := readSchema(r.Wanted)
	return &reindex.Reindex{
		ID: r.ID, Name: owner.Name{Tenant: r.Tenant, Local: r.Name}, Claimed: at(r.ClaimedAt), State: reindex.State(r.State), Source: r.Source, Target: r.Target,
		Wanted: wanted, Earlier: r.Earlier, SchemaVersion: r.SchemaVersion, KeepOld: time.Duration(r.KeepOld) * time.Microsecond,
		Documents: r.Documents, Copied: r.Copied, CaughtUp: r.CaughtUp, Refused: r.Refused, Failure: r.Failure, Reason: r.Reason,
		Cleanup: r.Cleanup, CleanupAt: at(r.CleanupAt), Started: at(r.StartedAt), Changed: at(r.ChangedAt),
	}, err
}

func at(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func collectionOf(r *reindex.Reindex) *owner.Collection {
	return &owner.Collection{Name: r.Name, Claimed: r.Claimed}
}

// StartReindex implements reindex.SchemaRows.
func (s *Store) StartReindex(ctx context.Context, c *owner.Collection, r reindex.Reindex, over int64, e audit.Event) (_ *reindex.Reindex, err error) {
	defer tried.To(&err, "begin reindex")
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lock(ctx, tx, c); err != nil {
			return err
		}
		w, err := s.wanted(ctx, tx, c)
		if err != nil {
			return err
		}
		if w.Version != over {
			return reindex.ErrVersion
		}
		if err := s.checkNoReindex(ctx, tx, w.Reindex); err != nil {
			return err
		}
		text, err := r.Wanted.Text()
		if err != nil {
			return err
		}
		if text != w.Text {
			w.Version++
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE reindexes SET cleanup_at = ?, due_at = ? WHERE id = ? AND cleanup <> ''", now.UnixMicro(), now.UnixMicro(), w.Reindex); err != nil {
			return err
		}
		if err := s.insertReindex(ctx, tx, c, r, text, w, now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE collections SET desired = ?, schema_version = ?, reindex = ?, held = 0 WHERE "+ofCollection, append([]any{text, w.Version, r.ID}, key(c)...)...)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
	if err != nil {
		return nil, err
	}
	return s.Reindex(ctx, c, r.ID)
}

func (s *Store) insertReindex(ctx context.Context, tx *store.Tx, c *owner.Collection, r reindex.Reindex, text string, w reindex.Wanted, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO reindexes (id, tenant, name, claimed_at, state, source, target, wanted, earlier, schema_version, keep_old, documents, copied, caught_up,
			failure, reason, cleanup, cleanup_at, lease, leased_until, due_at, started_at, changed_at)
		SELECT ?, tenant, name, claimed_at, ?, CASE WHEN physical = '' THEN ? ELSE physical END, ?, ?, ?, ?, ?, 0, 0, 0, '', '', '', 0, '', 0, ?, ?, ? FROM collections WHERE `+ofCollection,
		append([]any{r.ID, string(reindex.Created), c.Name.Engine(), r.Target, text, w.Text, w.Version, r.KeepOld.Microseconds(), now.UnixMicro(), now.UnixMicro(), now.UnixMicro()}, key(c)...)...)
	return err
}

// Reindex reads one reindex of a collection. Error: reindex.ErrNone.
func (s *Store) Reindex(ctx context.Context, c *owner.Collection, id string) (_ *reindex.Reindex, err error) {
	defer tried.To(&err, "read reindex")
	return s.reindex(ctx, s.db.Read(ctx), c, id)
}

func (s *Store) reindex(ctx context.Context, q store.Querier, c *owner.Collection, id string) (*reindex.Reindex, error) {
	var row reindexRow
	err := q.Get(ctx, &row, selectReindexes+"WHERE id = ? AND tenant = ? AND name = ? AND claimed_at = ?", id, c.Tenant, c.Local, c.Claimed.UnixMicro())
	if errors.Is(err, sql.ErrNoRows) {
		return nil, reindex.ErrNone
	}
	if err != nil {
		return nil, err
	}
	return row.reindex()
}

// Reindexes lists at most limit reindexes of a collection, newest first, that are older than the ID before ("" for no bound).
func (s *Store) Reindexes(ctx context.Context, c *owner.Collection, before string, limit int) (all []*reindex.Reindex, err error) {
	defer tried.To(&err, "list reindexes")
	var rows []reindexRow
	err = s.db.Read(ctx).Select(ctx, &rows, selectReindexes+"WHERE tenant = ? AND name = ? AND claimed_at = ? AND (id < ? OR ? = '') ORDER BY id DESC LIMIT ?",
		c.Tenant, c.Local, c.Claimed.UnixMicro(), before, before, limit)
	for i := range rows {
		if err != nil {
			return nil, err
		}
		var r *reindex.Reindex
		r, err = rows[i].reindex()
		all = append(all, r)
	}
	return all, err
}

// Abort ends a reindex that is under way. Errors: owner.ErrGone, reindex.ErrNone, reindex.ErrPast.
func (s *Store) Abort(ctx context.Context, c *owner.Collection, id string, e audit.Event) (_ *reindex.Reindex, err error) {
	defer tried.To(&err, "abort reindex")
	return s.order(ctx, c, id, e, func(ctx context.Context, tx *store.Tx, r *reindex.Reindex, now int64) error {
		if !r.State.UnderWay() {
			return reindex.ErrPast
		}
		_, err := tx.Exec(ctx, "UPDATE collections SET reindex = '', held = 0 WHERE "+ofCollection+" AND reindex = ?", append(key(c), id)...)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE reindexes SET state = ?, changed_at = ?, cleanup = target, cleanup_at = ?, due_at = ? WHERE id = ?", string(reindex.Aborted), now, now, now, id)
		return err
	})
}

// Rollback starts the return to the collection before a reindex. Errors: owner.ErrGone, reindex.ErrNone, reindex.ErrPast.
func (s *Store) Rollback(ctx context.Context, c *owner.Collection, id string, e audit.Event) (_ *reindex.Reindex, err error) {
	defer tried.To(&err, "roll reindex back")
	return s.order(ctx, c, id, e, func(ctx context.Context, tx *store.Tx, r *reindex.Reindex, now int64) error {
		n, err := tx.Exec(ctx, `UPDATE reindexes SET state = ?, changed_at = ?, due_at = ?, failure = '', reason = '' WHERE id = ? AND state = ? AND cleanup <> '' AND cleanup_at > ?
			AND EXISTS (SELECT 1 FROM collections WHERE `+ofCollection+` AND reindex = ?)`,
			append(append([]any{string(reindex.RollingBack), now, now, id, string(reindex.Done), now}, key(c)...), id)...)
		if err == nil && n == 0 {
			return reindex.ErrPast
		}
		return err
	})
}

// order changes a reindex on request of a caller.
func (s *Store) order(ctx context.Context, c *owner.Collection, id string, e audit.Event, do func(ctx context.Context, tx *store.Tx, r *reindex.Reindex, now int64) error) (r *reindex.Reindex, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lock(ctx, tx, c); err != nil {
			return err
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		if r, err = s.reindex(ctx, tx, c, id); err != nil {
			return err
		}
		if err := do(ctx, tx, r, now.UnixMicro()); err != nil {
			return err
		}
		if r, err = s.reindex(ctx, tx, c, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
	return r, err
}

// Retire aborts the running reindex of a collection that is about to be deleted, and takes over the leases of all its reindexes that still
// have something to do. alone reports whether it now holds all of these leases. Until it does, a worker may still write a copy. That copy
// may have the collection's own name, which anyone may use after the deletion. A repeated deletion already holds the leases. Error:
// owner.ErrGone.
func (s *Store) Retire(ctx context.Context, c *owner.Collection, last time.Duration) (alone bool, err error) {
	defer tried.To(&err, "end reindexes of collection")
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lock(ctx, tx, c); err != nil {
			return err
		}
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		const lease = "deletion"
		at, of := now.UnixMicro(), []any{c.Tenant, c.Local, c.Claimed.UnixMicro()}
		const ofIt = "tenant = ? AND name = ? AND claimed_at = ? AND due_at > 0"
		n, err := tx.Exec(ctx, "UPDATE reindexes SET state = 'aborted', changed_at = ?, cleanup = target, cleanup_at = ?, due_at = ? WHERE "+ofIt+" AND "+underWay, append([]any{at, at, at}, of...)...)
		if err == nil && n > 0 {
			_, err = tx.Exec(ctx, "UPDATE collections SET reindex = '', held = 0 WHERE "+ofCollection, key(c)...)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE reindexes SET lease = ?, leased_until = ? WHERE "+ofIt+" AND (leased_until < ? OR lease = ?)",
			append(append([]any{lease, now.Add(last).UnixMicro()}, of...), at, lease)...)
		if err != nil {
			return err
		}
		var others int64
		err = tx.Get(ctx, &others, "SELECT COUNT(*) FROM reindexes WHERE "+ofIt+" AND lease <> ?", append(of, lease)...)
		alone = others == 0
		return err
	})
	return alone, err
}

// underWay is State.UnderWay as an SQL condition.
const underWay = "state IN ('created', 'copying', 'verifying', 'swapping')"

// giveUp ends the reindexes of a collection that is deleted. A collection of the engine that they made under a generated name is dropped
// later, once no worker can still be writing to it. One with the collection's own name was dropped by the caller: by the time of a later
// cleanup the name may belong to another collection.
func (s *Store) giveUp(ctx context.Context, tx *store.Tx, c *owner.Collection) error {
	now, err := s.time(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE reindexes SET changed_at = ?, cleanup_at = ?,
			lease = CASE WHEN `+underWay+` THEN lease ELSE '' END, leased_until = CASE WHEN `+underWay+` THEN leased_until ELSE 0 END,
			cleanup = CASE WHEN `+underWay+` OR state IN ('rolledBack', 'aborted', 'failed') THEN target WHEN source = ? THEN '' ELSE source END,
			due_at = CASE WHEN NOT `+underWay+` AND state IN ('done', 'rollingBack') AND source = ? THEN 0 ELSE CAST(? AS BIGINT) END,
			state = CASE WHEN `+underWay+` THEN 'aborted' WHEN state = 'rollingBack' THEN 'done' ELSE state END
		WHERE tenant = ? AND name = ? AND claimed_at = ? AND due_at > 0`,
		now.UnixMicro(), now.UnixMicro(), c.Name.Engine(), c.Name.Engine(), now.UnixMicro(), c.Tenant, c.Local, c.Claimed.UnixMicro())
	return err
}
