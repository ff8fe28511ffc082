package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	database "github.com/fountainai/fountain/internal/store"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// reorder applies a short reorder or move, or fails the change. It fails with domain.ErrOrdering while an Order has the order of the group, unless that is a long move that is shown.
func (b *batch) reorder(ctx context.Context, c *Change) error {
	busy, err := ordering(ctx, b.tx, c.Group())
	if err != nil {
		return err
	}
	var open *shift
	if busy {
		if open, err = openShift(ctx, b.tx, c.Group()); err != nil {
			return err
		}
		if open == nil {
			c.fail(domain.ErrOrdering)
			return nil
		}
	}
	p, refused, err := plan(ctx, b.tx, c, LongOrder, false)
	if err != nil {
		return err
	}
	if refused != nil {
		c.fail(refused)
		return nil
	}
	if len(p.changes) > 0 {
		if err := b.renumber(ctx, c.Group(), p.changes, open); err != nil {
			return err
		}
		if err := countOrder(ctx, b.tx, c.Group()); err != nil {
			return err
		}
	}
	c.reordered(p)
	return nil
}

// planned is what a reorder or a move changes: all numbers one by one, or the number of the moved element and the shift of those between.
type planned struct {
	changes []domain.NumberChange
	shift   *domain.Shift
}

// reordered sets Done to what a reorder or a move changes.
func (c *Change) reordered(p planned) {
	c.Done.Numbers, c.Done.Shift = p.changes, p.shift
	for _, change := range p.changes {
		c.Done.Touched = append(c.Done.Touched, domain.Ref{Group: c.Group(), ID: change.ID})
	}
}

// Plan sets Done to what a reorder or a move would change now, or returns why it would be refused. The plan stays valid as long as nothing else changes the order of the group. An Order ensures
// that from BeginOrder on.
func (s *Store) Plan(ctx context.Context, c *Change) error {
	var p planned
	err := s.db.View(ctx, func(ctx context.Context, q database.Querier) (err error) {
		var refused error
		p, refused, err = plan(ctx, q, c, s.named, true)
		return errors.Join(err, refused)
	})
	if err != nil {
		return fmt.Errorf("plan order: %w", err)
	}
	c.reordered(p)
	return nil
}

// Admit returns why a reorder or a move would be refused now, or nil. For a move it reads two rows.
func (s *Store) Admit(ctx context.Context, c *Change) error {
	if c.Move == nil {
		return s.Plan(ctx, c)
	}
	return s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		_, refused, err := plan(ctx, q, c, 1, true)
		return errors.Join(err, refused)
	})
}

// plan finds which numbers a reorder or a move changes. refused is an error of the domain, or ErrLongOrder when more than limit elements are concerned. With far, a move over more elements is
// planned too, as the change of the moved element and a shift. The caller must make sure that what plan reads does not change meanwhile: by a lock or a snapshot.
func plan(ctx context.Context, q database.Querier, c *Change, limit int, far bool) (p planned, refused, err error) {
	if c.Move != nil {
		return moved(ctx, q, c.Move, limit, far)
	}
	r := c.Reorder
	if len(r.Order) > limit {
		return p, ErrLongOrder, nil
	}
	held, err := numbers(ctx, q, r.Group, r.Order)
	if err != nil {
		return p, nil, err
	}
	p.changes, refused = r.Changes(held)
	return p, refused, nil
}

// moved is plan for a move.
func moved(ctx context.Context, q database.Querier, m *domain.Move, limit int, far bool) (p planned, refused, err error) {
	held, err := numbers(ctx, q, m.Group, []string{m.ID, m.Anchor()})
	if err != nil {
		return p, nil, err
	}
	low, high, refused := m.Span(held)
	if refused != nil {
		return p, refused, nil
	}
	change, shift := m.Far(held)
	switch {
	case shift == nil: // the element is there already
		return p, nil, nil
	case shift.Count()+1 <= int64(limit):
	case far:
		return planned{[]domain.NumberChange{change}, shift}, nil, nil
	default:
		return p, ErrLongOrder, nil
	}
	var rows []row // numbers have no gap, so there is an element for each from low to high
	if err := q.Select(ctx, &rows, inOrder("e.id, "+numberNow+" AS number", "AND"+unloaded), inOrderArgs(m.Group, low-1, int(high-low)+1)...); err != nil {
		return p, nil, err
	}
	ids := make([]string, len(rows))
	held = make(map[string]int64, len(rows))
	for i, r := range rows {
		ids[i], held[r.ID] = r.ID, r.Number
	}
	p.changes, refused = m.Reorder(ids).Changes(held)
	return p, refused, nil
}

// numbers returns the present numbers of elements of a group, by id. Ids without an element are left out.
func numbers(ctx context.Context, q database.Querier, g domain.Group, ids []string) (map[string]int64, error) {
	held := make(map[string]int64, len(ids))
	refs := make([]domain.Ref, len(ids))
	for i, id := range ids {
		refs[i] = domain.Ref{Group: g, ID: id}
	}
	rows, err := selectIn(ctx, q, refs, "SELECT e.scope, e.element_type, e.id, "+numberNow+" AS number FROM elements e "+onWanted+shownMove+"WHERE"+unloaded)
	for _, row := range rows {
		held[row.ID] = row.Number
	}
	return held, err
}

// renumber gives elements their new numbers in two steps, because both databases check uniqueness row by row: first each element
// gets a number that no element has, then its new one.
//
// While a shift is open, the number in an element's row can differ from the number that the element is shown with. A change of the order only permutes the numbers of its elements. renumber permutes
// the numbers in the rows the same way, so that each element is shown with its new number. Settling the shift is not affected.
func (b *batch) renumber(ctx context.Context, g domain.Group, changes []domain.NumberChange, open *shift) error {
	place := func(to int64) int64 { return to }
	if open != nil {
		rows, err := b.rowsOf(ctx, g, changes)
		if err != nil {
			return err
		}
		place = func(to int64) int64 { return rows[to] }
		if err := b.handOver(ctx, g, changes, open); err != nil {
			return err
		}
	}
	for _, step := range []func(to int64) int64{
		func(to int64) int64 { return aside(place(to)) },
		place,
	} {
		if err := b.setNumbers(ctx, g, changes, step); err != nil {
			return err
		}
	}
	return nil
}

// aside returns a number that no element has, a different one for each argument.
func aside(number int64) int64 {
	const far = -1 << 60 // numbers have 53 bits
	if number < 0 {
		return far + 2*number
	}
	return far - 2*number - 1
}

// rowsOf returns the numbers in the rows of elements, by the numbers that they are shown with.
func (b *batch) rowsOf(ctx context.Context, g domain.Group, changes []domain.NumberChange) (map[int64]int64, error) {
	refs := make([]domain.Ref, len(changes))
	shown := make(map[string]int64, len(changes))
	for i, c := range changes {
		refs[i], shown[c.ID] = domain.Ref{Group: g, ID: c.ID}, c.From
	}
	rows, err := selectIn(ctx, b.tx, refs, "SELECT e.scope, e.element_type, e.id, e.number FROM elements e "+onWanted)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[shown[r.ID]] = r.Number
	}
	return out, nil
}

// handOver makes the element that gets the number of the moved element the moved element of the shift.
func (b *batch) handOver(ctx context.Context, g domain.Group, changes []domain.NumberChange, open *shift) error {
	at := slices.IndexFunc(changes, func(c domain.NumberChange) bool { return c.To == open.MovedTo })
	if at < 0 {
		return nil
	}
	if _, err := b.tx.Exec(ctx, "UPDATE shifts SET moved_id = ? WHERE scope = ? AND element_type = ?", changes[at].ID, g.Scope, g.ElementType); err != nil {
		return fmt.Errorf("hand over the end of a long move: %w", err)
	}
	return nil
}

// setNumbers sets the number of each element to what step makes of its new number. It sets updated_at to the time of the order, unless the element was written later. The group is part of the VALUES list:
// as a separate condition it would make SQLite read the whole group.
func (b *batch) setNumbers(ctx context.Context, g domain.Group, changes []domain.NumberChange, step func(to int64) int64) error {
	return inChunks(changes, func(part []domain.NumberChange) error {
		args := make([]any, 0, 4*len(part)+2)
		for _, change := range part {
			args = append(args, g.Scope, g.ElementType, change.ID, step(change.To))
		}
		_, err := b.tx.Exec(ctx, "WITH wanted (scope, element_type, id, number) AS ("+database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint)+`)
			UPDATE elements SET number = wanted.number, updated_at = CASE WHEN elements.updated_at < ? THEN ? ELSE elements.updated_at END FROM wanted
			WHERE elements.scope = wanted.scope AND elements.element_type = wanted.element_type AND elements.id = wanted.id`, append(args, b.at, b.at)...)
		return err
	})
}
