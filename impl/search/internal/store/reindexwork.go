package store

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// leasedReindexes selects the reindexes with work to do. due_at is 0 for the others.
var leasedReindexes = leasedTable{name: "reindexes", due: "due_at > 0"}

// ClaimReindex implements reindex.Rows.
func (s *Store) ClaimReindex(ctx context.Context, l lease.Lease) (r *reindex.Reindex, err error) {
	defer tried.To(&err, "claim reindex")
	return claim(ctx, s, leasedReindexes, l, func(ctx context.Context, tx *store.Tx, id string) (*reindex.Reindex, error) {
		var row reindexRow
		if err := tx.Get(ctx, &row, selectReindexes+"WHERE id = ?", id); err != nil {
			return nil, err
		}
		return row.reindex()
	})
}

// leasing changes a reindex under its lease, and renews the lease. first runs before that and locks the row of the collection, where that
// is needed. Error: lease.ErrLost.
func (s *Store) leasing(ctx context.Context, r *reindex.Reindex, l lease.Lease, first func(ctx context.Context, tx *store.Tx) error, do func(ctx context.Context, tx *store.Tx, now int64) error) error {
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if first != nil {
			if err := first(ctx, tx); err != nil {
				return err
			}
		}
		now, err := s.keep(ctx, tx, leasedReindexes, r.ID, l, "state = ?", string(r.State))
		if err != nil {
			return err
		}
		return do(ctx, tx, now.UnixMicro())
	})
}

// locked returns a function that locks the row of a reindex's collection. It returns lease.ErrLost if the collection is gone, because then
// its reindex is too.
func (s *Store) locked(r *reindex.Reindex) func(ctx context.Context, tx *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error {
		err := s.lock(ctx, tx, collectionOf(r))
		if errors.Is(err, owner.ErrGone) {
			return lease.ErrLost
		}
		return err
	}
}

// KeepReindex implements reindex.Rows.
func (s *Store) KeepReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease) (err error) {
	defer tried.To(&err, "keep reindex")
	return s.leasing(ctx, r, l, nil, func(ctx context.Context, tx *store.Tx, _ int64) error {
		_, err := tx.Exec(ctx, "UPDATE reindexes SET documents = ?, copied = ?, caught_up = ? WHERE id = ?", r.Documents, r.Copied, r.CaughtUp, r.ID)
		return err
	})
}

// MoveReindex implements reindex.Rows.
func (s *Store) MoveReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease, to reindex.State) (err error) {
	defer tried.To(&err, "move reindex on")
	return s.leasing(ctx, r, l, nil, func(ctx context.Context, tx *store.Tx, now int64) error {
		_, err := tx.Exec(ctx, "UPDATE reindexes SET state = ?, changed_at = ?, documents = ?, copied = ?, caught_up = ? WHERE id = ?", string(to), now, r.Documents, r.Copied, r.CaughtUp, r.ID)
		return err
	})
}

// HoldWrites implements reindex.Rows.
func (s *Store) HoldWrites(ctx context.Context, r *reindex.Reindex, l lease.Lease, to reindex.State) (err error) {
	defer tried.To(&err, "hold writes")
	return s.leasing(ctx, r, l, s.locked(r), func(ctx context.Context, tx *store.Tx, now int64) error {
		n, err := tx.Exec(ctx, "UPDATE collections SET held = 1 WHERE "+ofCollection+" AND reindex = ?", append(key(collectionOf(r)), r.ID)...)
		if err == nil && n == 0 {
			return lease.ErrLost
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE reindexes SET state = ?, changed_at = CASE WHEN state = ? THEN changed_at ELSE ? END WHERE id = ?", string(to), string(to), now, r.ID)
		}
		return err
	})
}

// LetWrites implements reindex.Rows.
func (s *Store) LetWrites(ctx context.Context, r *reindex.Reindex, l lease.Lease, to reindex.State, after time.Duration) (err error) {
	defer tried.To(&err, "let writes continue")
	return s.leasing(ctx, r, l, s.locked(r), func(ctx context.Context, tx *store.Tx, now int64) error {
		if _, err := tx.Exec(ctx, "UPDATE collections SET held = 0 WHERE "+ofCollection+" AND reindex = ?", append(key(collectionOf(r)), r.ID)...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE reindexes SET state = ?, lease = '', leased_until = 0, due_at = ?, caught_up = ?, failure = ?, reason = ? WHERE id = ?",
			string(to), now+after.Microseconds(), r.CaughtUp, r.Failure, r.Reason, r.ID)
		return err
	})
}

// SwapReindex implements reindex.Rows.
func (s *Store) SwapReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease, e audit.Event) (err error) {
	defer tried.To(&err, "swap collections")
	return s.leasing(ctx, r, l, s.locked(r), func(ctx context.Context, tx *store.Tx, now int64) error {
		n, err := tx.Exec(ctx, "UPDATE collections SET physical = ?, held = 0 WHERE "+ofCollection+" AND reindex = ? AND held = 1", append(append([]any{r.Target}, key(collectionOf(r))...), r.ID)...)
		if err == nil && n == 0 {
			return lease.ErrLost
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE reindexes SET state = ?, changed_at = ?, caught_up = ?, cleanup = source, cleanup_at = ?, due_at = ? WHERE id = ?",
			string(reindex.Done), now, r.CaughtUp, now+r.KeepOld.Microseconds(), now, r.ID)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
}

// UnswapReindex implements reindex.Rows.
func (s *Store) UnswapReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease, e audit.Event) (err error) {
	defer tried.To(&err, "swap collections back")
	return s.leasing(ctx, r, l, s.locked(r), func(ctx context.Context, tx *store.Tx, now int64) error {
		n, err := tx.Exec(ctx, `UPDATE collections SET physical = ?, held = 0, reindex = '', desired = CASE WHEN schema_version = ? THEN ? ELSE desired END,
			schema_version = CASE WHEN schema_version = ? THEN schema_version + 1 ELSE schema_version END WHERE `+ofCollection+" AND reindex = ? AND held = 1",
			append(append([]any{r.Source, r.SchemaVersion, r.Earlier, r.SchemaVersion}, key(collectionOf(r))...), r.ID)...)
		if err == nil && n == 0 {
			return lease.ErrLost
		}
		if err != nil {
			return err
		}
		// Searches that are already using it get a minute to end.
		_, err = tx.Exec(ctx, "UPDATE reindexes SET state = ?, changed_at = ?, caught_up = ?, cleanup = target, cleanup_at = ?, due_at = ?, lease = '', leased_until = 0 WHERE id = ?",
			string(reindex.RolledBack), now, r.CaughtUp, now+time.Minute.Microseconds(), now+time.Minute.Microseconds(), r.ID)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
}

// FailReindex implements reindex.Rows.
func (s *Store) FailReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease, e audit.Event) (err error) {
	defer tried.To(&err, "fail reindex")
	return s.leasing(ctx, r, l, s.locked(r), func(ctx context.Context, tx *store.Tx, now int64) error {
		if _, err := tx.Exec(ctx, "UPDATE collections SET reindex = '', held = 0 WHERE "+ofCollection+" AND reindex = ?", append(key(collectionOf(r)), r.ID)...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE reindexes SET state = ?, changed_at = ?, copied = ?, caught_up = ?, failure = ?, reason = ?, cleanup = target, cleanup_at = ?, due_at = ?, lease = '', leased_until = 0
			WHERE id = ?`, string(reindex.Failed), now, r.Copied, r.CaughtUp, r.Failure, r.Reason, now, now, r.ID)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
}

// LeaveReindex implements reindex.Rows. due_at is left alone if the state has changed in the meantime: whoever changed it has set due_at.
func (s *Store) LeaveReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease, after time.Duration) (err error) {
	defer tried.To(&err, "leave reindex")
	return s.leave(ctx, leasedReindexes, r.ID, l, "due_at = CASE WHEN state = ? THEN ? ELSE due_at END", func(now time.Time) []any {
		return []any{string(r.State), now.Add(after).UnixMicro()}
	})
}

// StopNoting implements reindex.Rows.
func (s *Store) StopNoting(ctx context.Context, r *reindex.Reindex, l lease.Lease) (err error) {
	defer tried.To(&err, "stop to note writes")
	return s.leasing(ctx, r, l, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE collections SET reindex = '' WHERE "+ofCollection+" AND reindex = ?", append(key(collectionOf(r)), r.ID)...)
		return err
	}, func(context.Context, *store.Tx, int64) error { return nil })
}

// CleanReindex implements reindex.Rows.
func (s *Store) CleanReindex(ctx context.Context, r *reindex.Reindex, l lease.Lease, drop func(ctx context.Context) error) (err error) {
	defer tried.To(&err, "clean up after reindex")
	ours := true
	return s.leasing(ctx, r, l, func(ctx context.Context, tx *store.Tx) error {
		if r.Cleanup != r.Name.Engine() {
			return nil
		}
		// While this lock is held nobody can create a collection of that name. If the row is already gone, somebody may have created one,
		// and nothing is dropped.
		n, err := tx.Exec(ctx, "UPDATE collections SET made = 1 WHERE "+ofCollection+" AND physical <> ''", key(collectionOf(r))...)
		ours = n == 1
		return err
	}, func(ctx context.Context, tx *store.Tx, _ int64) error {
		if ours {
			if err := drop(ctx); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE reindexes SET cleanup = '', due_at = 0, lease = '', leased_until = 0 WHERE id = ?", r.ID)
		return err
	})
}

// Notes implements reindex.Rows.
func (s *Store) Notes(ctx context.Context, id string, before time.Time, limit int) (all []reindex.Note, err error) {
	defer tried.To(&err, "read notes of reindex")
	last := int64(math.MaxInt64)
	if !before.IsZero() {
		last = before.UnixMicro()
	}
	var rows []struct {
		Document string
		NotedAt  int64 `db:"noted_at"`
	}
	err = s.db.Read(ctx).Select(ctx, &rows, "SELECT document, noted_at FROM reindex_notes WHERE reindex = ? AND refused = 0 AND noted_at < ? ORDER BY noted_at LIMIT ?", id, last, limit)
	for _, r := range rows {
		all = append(all, reindex.Note{Document: r.Document, At: r.NotedAt})
	}
	return all, err
}

// Noted implements reindex.Rows.
func (s *Store) Noted(ctx context.Context, id, document string) (_ bool, err error) {
	defer tried.To(&err, "look for note of reindex")
	var n int64
	err = s.db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM reindex_notes WHERE reindex = ? AND document = ?", id, document)
	return n > 0, err
}

// Refused implements reindex.Rows.
func (s *Store) Refused(ctx context.Context, id string) (n int64, err error) {
	defer tried.To(&err, "count refused notes of reindex")
	err = s.db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM reindex_notes WHERE reindex = ? AND refused = 1", id)
	return n, err
}

// SettleNotes implements reindex.Rows.
func (s *Store) SettleNotes(ctx context.Context, r *reindex.Reindex, l lease.Lease, done, refused []reindex.Note) (err error) {
	defer tried.To(&err, "settle notes of reindex")
	done, refused = byDocument(done), byDocument(refused)
	return s.leasing(ctx, r, l, nil, func(ctx context.Context, tx *store.Tx, _ int64) error {
		for _, n := range done {
			if _, err := tx.Exec(ctx, "DELETE FROM reindex_notes WHERE reindex = ? AND document = ? AND noted_at = ?", r.ID, n.Document, n.At); err != nil {
				return err
			}
		}
		for _, n := range refused {
			if _, err := tx.Exec(ctx, "UPDATE reindex_notes SET refused = 1 WHERE reindex = ? AND document = ? AND noted_at = ?", r.ID, n.Document, n.At); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE reindexes SET caught_up = ? WHERE id = ?", r.CaughtUp, r.ID)
		return err
	})
}

// byDocument sorts notes into the order in which documents are noted, so that transactions lock rows in one order.
func byDocument(notes []reindex.Note) []reindex.Note {
	return slices.SortedFunc(slices.Values(notes), func(a, b reindex.Note) int { return strings.Compare(a.Document, b.Document) })
}
