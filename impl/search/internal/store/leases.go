package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/store"
)

// leasedTable is a table whose rows are worked on by whoever has their lease. It has the columns id, lease, leased_until and due_at.
type leasedTable struct {
	name string
	due  string // which rows are due, beside the time of due_at
	take string // what else a claim sets, ending with a comma; its one placeholder, if any, is the time
}

// claim leases the row that is due for the longest time, of those that nobody has, and returns what read makes of it in the same transaction. There may be none: nil.
func claim[T any](ctx context.Context, s *Store, of leasedTable, l lease.Lease, read func(ctx context.Context, tx *store.Tx, id string) (*T, error)) (claimed *T, err error) {
	isDue := of.due + " AND due_at <= ? AND leased_until < ?"
	now, err := s.time(ctx, s.db.Read(ctx))
	if err != nil {
		return nil, err
	}
	var due int64
	err = s.db.Read(ctx).Get(ctx, &due, "SELECT COUNT(*) FROM "+of.name+" WHERE "+isDue, now.UnixMicro(), now.UnixMicro())
	if err != nil || due == 0 {
		return nil, err // no write without need
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		claimed = nil // of a transaction that was rolled back and is run again
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
		// All is asked for once more: between the two another may have taken the row, or done with it.
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

// keep renews the lease of a row that is as condition says. Error: lease.ErrLost.
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

// leave gives the lease of a row back, if it has that still, and sets what is said beside; args is what that takes of the time.
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

// freeLeases ends every lease: whoever had one is dead.
func freeLeases(ctx context.Context, tx *store.Tx) error {
	for _, table := range []string{"reindexes", "jobs", "document_versions", "creations"} {
		if _, err := tx.Exec(ctx, "UPDATE "+table+" SET lease = '', leased_until = 0 WHERE lease <> ''"); err != nil {
			return err
		}
	}
	return nil
}
