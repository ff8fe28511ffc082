package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// Change is one request of a batch. Exactly one of the first five fields is set. Apply sets Done or Err.
type Change struct {
	Create  *domain.Create
	Revise  *domain.Revise
	Restate *domain.Restate
	Reorder *domain.Reorder
	Move    *domain.Move

	Done Done
	Err  error // fails this change alone: nothing was written for it

	told [][]byte // the texts that Tell has made of Done
}

// Done is the outcome of a change.
type Done struct {
	Elements []domain.Element      // in their new state: those created, in the order of the drafts, or the one revised, omitted or restored
	Numbers  []domain.NumberChange // of a reorder or a move
	Shift    *domain.Shift         // of a move that renumbered more than domain.MaxMoved elements; Numbers then has only the element that was moved
	Touched  []domain.Ref          // elements that changed, without those in Shift; empty when a repeat changed nothing
}

func (c *Change) fail(err error) { c.Err = err }

// Group returns the group that is changed.
func (c *Change) Group() domain.Group {
	switch {
	case c.Create != nil:
		return c.Create.Group
	case c.Revise != nil:
		return c.Revise.Group
	case c.Restate != nil:
		return c.Restate.Group
	case c.Move != nil:
		return c.Move.Group
	default:
		return c.Reorder.Group
	}
}

// Apply makes the changes in one transaction. Lock must have locked their groups. Changes of a batch have no order among themselves: creations are made
// first, then new versions, omissions, restorations, and last reorders and moves. An error of the domain usually fails its change alone (Change.Err). Any
// error that Apply returns requires a rollback. That can be an error of the domain too; with a batch of one it is that of the change. Record must follow in
// the same transaction.
func Apply(ctx context.Context, tx *database.Tx, at time.Time, changes []*Change) error {
	b := batch{tx: tx, at: at.UnixMicro()}
	changes, err := b.withoutLoads(ctx, changes)
	if err != nil {
		return err
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
	orders := pick(changes, func(c *Change) bool { return c.Reorder != nil || c.Move != nil })
	for _, c := range orders {
		if err := b.reorder(ctx, c); err != nil {
			return fmt.Errorf("reorder elements: %w", err)
		}
	}
	return nil
}

// Record appends the changes that Apply has made to the feeds of their scopes. It is called last before the audit chain, because a feed that LockFeeds has
// not locked is locked from here until the commit.
func Record(ctx context.Context, tx *database.Tx, at time.Time, changes []*Change) error {
	b := batch{tx: tx, at: at.UnixMicro()}
	if err := b.record(ctx, changes); err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	return nil
}

// withoutLoads fails the changes to scopes that are being imported, and returns the others. In such a scope a creation fails with domain.ErrImporting. Any other
// change fails with domain.ErrUnknownElement, because no element of the scope is visible yet.
func (b *batch) withoutLoads(ctx context.Context, changes []*Change) ([]*Change, error) {
	var scopes []string
	for _, c := range changes {
		scopes = append(scopes, c.Group().Scope)
	}
	slices.Sort(scopes)
	loads, err := loading(ctx, b.tx, slices.Compact(scopes))
	if err != nil || len(loads) == 0 {
		return changes, err
	}
	for _, c := range changes {
		switch {
		case !loads[c.Group().Scope]:
		case c.Create != nil:
			c.fail(domain.ErrImporting)
		default:
			c.fail(domain.ErrUnknownElement)
		}
	}
	return pick(changes, func(c *Change) bool { return c.Err == nil }), nil
}

func pick(changes []*Change, want func(*Change) bool) (out []*Change) {
	for _, c := range changes {
		if want(c) {
			out = append(out, c)
		}
	}
	return out
}

// batch is one transaction that changes several groups, at a time in microseconds.
type batch struct {
	tx *database.Tx
	at int64
}
