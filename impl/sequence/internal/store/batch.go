package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// Change is one request of a batch: one of its fields is set. Apply fills Done or Err.
type Change struct {
	Create  *domain.Create
	Revise  *domain.Revise
	Omit    *domain.Omit
	Reorder *domain.Reorder

	Done Done
	Err  error // fails this change alone: nothing was written for it
}

// Done is what a change brought about.
type Done struct {
	Elements []domain.Element      // created in the order of the drafts, or the one revised or omitted, as they are now
	Numbers  []domain.NumberChange // of a reorder
	Touched  []domain.Ref          // elements that are no longer what they were; empty for a repeated omit
}

func (c *Change) fail(err error) { c.Err = err }

func (c *Change) group() domain.Group {
	switch {
	case c.Create != nil:
		return c.Create.Group
	case c.Revise != nil:
		return c.Revise.Group
	case c.Omit != nil:
		return c.Omit.Group
	default:
		return c.Reorder.Group
	}
}

// Apply makes the changes in one transaction. Changes that were asked for together have no order among them: creations come
// first, then new versions, omissions and reorders. Errors of the domain fail one change; any other is returned and the
// transaction must be given up.
func Apply(ctx context.Context, tx *database.Tx, at time.Time, changes []*Change) error {
	b := batch{tx: tx, at: at.UnixMicro(), last: map[domain.Group]int64{}}
	groups := map[domain.Group]bool{} // true: something is created in it
	for _, c := range changes {
		groups[c.group()] = groups[c.group()] || c.Create != nil
	}
	if err := b.lock(ctx, groups); err != nil {
		return fmt.Errorf("lock counters: %w", err)
	}
	if err := b.create(ctx, pick(changes, func(c *Change) bool { return c.Create != nil })); err != nil {
		return fmt.Errorf("create elements: %w", err)
	}
	if err := b.revise(ctx, pick(changes, func(c *Change) bool { return c.Revise != nil })); err != nil {
		return fmt.Errorf("create versions: %w", err)
	}
	if err := b.omit(ctx, pick(changes, func(c *Change) bool { return c.Omit != nil })); err != nil {
		return fmt.Errorf("omit elements: %w", err)
	}
	for _, c := range pick(changes, func(c *Change) bool { return c.Reorder != nil }) {
		if err := b.reorder(ctx, c); err != nil {
			return fmt.Errorf("reorder elements: %w", err)
		}
	}
	return nil
}

func pick(changes []*Change, want func(*Change) bool) (out []*Change) {
	for _, c := range changes {
		if want(c) {
			out = append(out, c)
		}
	}
	return out
}

// batch is one transaction over several groups.
type batch struct {
	tx   *database.Tx
	at   int64
	last map[domain.Group]int64 // the last numbers of the groups that exist, locked
}

// lock locks the counters of the groups, creates those in which something will be created, and reads their last numbers. Every
// transaction locks in the same order, so that two replicas do not wait for each other.
func (b *batch) lock(ctx context.Context, groups map[domain.Group]bool) error {
	sorted := make([]domain.Group, 0, len(groups))
	for g := range groups {
		sorted = append(sorted, g)
	}
	slices.SortFunc(sorted, domain.Group.Compare)
	if err := b.lockExisting(ctx, sorted); err != nil {
		return err
	}
	var missing []domain.Group
	for _, g := range sorted {
		if _, exists := b.last[g]; !exists && groups[g] {
			missing = append(missing, g)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err := inChunks(missing, func(part []domain.Group) error {
		args := make([]any, 0, 3*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType, 0)
		}
		_, err := b.tx.Exec(ctx, "INSERT INTO counters (scope, element_type, last) "+values(len(part), text, text, bigint)+" ON CONFLICT DO NOTHING", args...)
		return err
	})
	if err != nil {
		return err
	}
	return b.lockExisting(ctx, missing)
}

func (b *batch) lockExisting(ctx context.Context, sorted []domain.Group) error {
	query := " SELECT c.scope, c.element_type, c.last FROM counters c JOIN wanted w ON c.scope = w.scope AND c.element_type = w.element_type ORDER BY c.scope, c.element_type"
	if b.tx.Dialect() == database.PostgreSQL {
		query += " FOR UPDATE OF c" // on SQLite the transaction is the only writer
	}
	return inChunks(sorted, func(part []domain.Group) error {
		args := make([]any, 0, 2*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType)
		}
		return b.readCounters(ctx, "WITH wanted (scope, element_type) AS ("+values(len(part), text, text)+")"+query, args...)
	})
}

// readCounters runs a query that returns counters and keeps their last numbers.
func (b *batch) readCounters(ctx context.Context, query string, args ...any) error {
	var rows []struct {
		Scope       string `db:"scope"`
		ElementType string `db:"element_type"`
		Last        int64  `db:"last"`
	}
	if err := b.tx.Select(ctx, &rows, query, args...); err != nil {
		return err
	}
	for _, r := range rows {
		b.last[domain.Group{Scope: r.Scope, ElementType: r.ElementType}] = r.Last
	}
	return nil
}
