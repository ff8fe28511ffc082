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
	Move    *domain.Move

	Done Done
	Err  error // fails this change alone: nothing was written for it

	told [][]byte // what Tell has made of Done.Numbers
}

// Done is what a change brought about.
type Done struct {
	Elements []domain.Element      // created in the order of the drafts, or the one revised, omitted or restored, as they are now
	Numbers  []domain.NumberChange // of a reorder or a move
	Shift    *domain.Shift         // of a move over more than domain.MaxMoved elements: Numbers has the one that was moved alone
	Touched  []domain.Ref          // elements that are no longer what they were; empty for a repeated omit
}

func (c *Change) fail(err error) { c.Err = err }

// Group is what the change belongs to.
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

// Apply makes the changes, whose groups Lock has locked, in one transaction. Changes that were asked for together have no order among them: creations come
// first, then new versions, omissions, restorations and reorders. Errors of the domain fail one change; any other is returned and the
// transaction must be given up; with a batch of one it may be of the domain too. Record must follow in the same transaction.
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

// Record puts the changes that Apply has made into the feeds of their scopes. It is the last work before the audit chain: a feed that LockFeeds has not
// locked is locked from here to the commit.
func Record(ctx context.Context, tx *database.Tx, at time.Time, changes []*Change) error {
	b := batch{tx: tx, at: at.UnixMicro()}
	if err := b.record(ctx, changes); err != nil {
		return fmt.Errorf("record changes: %w", err)
	}
	return nil
}

// withoutLoads fails the changes of scopes that an import fills: for everybody else there is nothing yet, and there will be something.
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

// batch is one transaction over several groups.
type batch struct {
	tx *database.Tx
	at int64
}
