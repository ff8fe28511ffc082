package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/store"
)

// leasedTable is a table whose rows are worked on by the holder of their lease. It has the columns id, lease, leased_until and due_at.
type leasedTable struct {
	name string
	due  string // which rows are due, in addition to due_at
	take string // what else a claim sets, ending with a comma; its placeholder, if any, is the time
}

// claim leases the unleased row that has been due for the longest time, and returns what read makes of it in the same transaction. It
// returns nil if no row is due.
func claim[T any](ctx context.Context, s *Store, of leasedTable, l lease.Lease, read func(ctx context.Context, tx *store.Tx, id string) (*T, error)) (claimed *T, err error) {
	isDue := of.due + " AND due_at <= ? AND leased_until < ?"
	now, err := s.time(ctx, s.db.Read(ctx))
	if err != nil {
		return nil, err
	}
	var due int64
	err = s.db.Read(ctx).Get(ctx, &due, "SELECT COUNT(*) FROM "+of.name+" WHERE "+isDue, now.UnixMicro(), now.UnixMicro())
	if err != nil || due == 0 {
		return nil, err // no write transaction without need
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		claimed = nil // reset after a rolled back attempt of this transaction
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		var id string
		err = tx.Get(ctx, &id, "SELECT id FROM "+of.name+" WHERE "+isDue+" ORDER BY due_at, id LIMIT 1", now.UnixMicro(), now.UnixMicro())
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		args := []any{l.Name, now.Add(l.Last).UnixMicro(), id, now.UnixMicro(), now.UnixMicro()}
		if of.take != "" {
			args = append([]any{now.UnixMicro()}, args...)
		}
		// The whole condition is checked again: another process may have claimed or finished the row since it was selected.
		n, err := tx.Exec(ctx, "UPDATE "+of.name+" SET "+of.take+" lease = ?, leased_until = ? WHERE id = ? AND "+isDue, args...)
		if err != nil || n == 0 {
			return err
		}
		claimed, err = read(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// keep renews the lease of a row that satisfies the condition. Error: lease.ErrLost.
func (s *Store) keep(ctx context.Context, tx *store.Tx, of leasedTable, id string, l lease.Lease, condition string, args ...any) (now time.Time, err error) {
	if now, err = s.time(ctx, tx); err != nil {
		return now, err
	}
	n, err := tx.Exec(ctx, "UPDATE "+of.name+" SET leased_until = ? WHERE id = ? AND lease = ? AND "+condition, append([]any{now.Add(l.Last).UnixMicro(), id, l.Name}, args...)...)
	if err == nil && n == 0 {
		err = lease.ErrLost
	}
	return now, err
}

// leave releases the lease of a row, if it still has that lease, and sets the columns in set. args returns the arguments of set for the
// current time.
func (s *Store) leave(ctx context.Context, of leasedTable, id string, l lease.Lease, set string, args func(now time.Time) []any) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := s.time(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE "+of.name+" SET lease = '', leased_until = 0, "+set+" WHERE id = ? AND lease = ?", append(args(now), id, l.Name)...)
		return err
	})
}

// freeLeases ends all leases, once their holders are known to be dead.
func freeLeases(ctx context.Context, tx *store.Tx) error {
	for _, table := range []string{"reindexes", "jobs", "document_versions", "creations"} {
		if _, err := tx.Exec(ctx, "UPDATE "+table+" SET lease = '', leased_until = 0 WHERE lease <> ''"); err != nil {
			return err
		}
	}
	return nil
}
