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
	Restate *domain.Restate
	Reorder *domain.Reorder

	Done Done
	Err  error // fails this change alone: nothing was written for it
}

// Done is what a change brought about.
type Done struct {
	Elements []domain.Element      // created in the order of the drafts, or the one revised, omitted or restored, as they are now
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
	case c.Restate != nil:
		return c.Restate.Group
	default:
		return c.Reorder.Group
	}
}

// Apply makes the changes in one transaction. Changes that were asked for together have no order among them: creations come
// first, then new versions, omissions, restorations and reorders. Errors of the domain fail one change; any other is returned and the
// transaction must be given up; with a batch of one it may be of the domain too.
func Apply(ctx context.Context, tx *database.Tx, at time.Time, changes []*Change) error {
	b := batch{tx: tx, at: at.UnixMicro()}
	if err := b.lock(ctx, changes); err != nil {
		return fmt.Errorf("lock counters: %w", err)
	}
	if err := b.create(ctx, pick(changes, func(c *Change) bool { return c.Create != nil })); err != nil {
		return fmt.Errorf("create elements: %w", err)
	}
	if err := b.revise(ctx, pick(changes, func(c *Change) bool { return c.Revise != nil })); err != nil {
		return fmt.Errorf("create versions: %w", err)
	}
	for _, status := range []domain.Status{domain.Omitted, domain.Active} {
		if err := b.restate(ctx, status, pick(changes, func(c *Change) bool { return c.Restate != nil && c.Restate.Status == status })); err != nil {
			return fmt.Errorf("make elements %s: %w", status, err)
		}
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
	tx *database.Tx
	at int64
}

// lock locks the counters of all groups, in one order, so that two replicas do not wait for each other. Where there are only
// creations the statement that advances the counters locks them as well.
func (b *batch) lock(ctx context.Context, changes []*Change) error {
	var groups []domain.Group
	onlyCreations := true
	for _, c := range changes {
		groups = append(groups, c.group())
		onlyCreations = onlyCreations && c.Create != nil
	}
	if onlyCreations || b.tx.Dialect() != database.PostgreSQL {
		return nil // on SQLite the transaction is the only writer
	}
	slices.SortFunc(groups, domain.Group.Compare)
	return inChunks(slices.Compact(groups), func(part []domain.Group) error {
		args := make([]any, 0, 2*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType)
		}
		var locked []int64
		return b.tx.Select(ctx, &locked, "WITH wanted (scope, element_type) AS ("+database.Values(len(part), database.Text, database.Text)+`)
			SELECT c.last FROM counters c JOIN wanted w ON c.scope = w.scope AND c.element_type = w.element_type
			ORDER BY c.scope COLLATE "C", c.element_type COLLATE "C" FOR UPDATE OF c`, args...) // as the creations are sorted
	})
}
