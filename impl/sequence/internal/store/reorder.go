package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	database "github.com/fountainai/fountain/internal/store"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// reorder gives listed elements each other's numbers, or fails the change. A long reorder on its way fails it, a long move that is shown does not.
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

// planned is what a reorder or a move changes: each number, or that of the element that is moved and a shift of those between.
type planned struct {
	changes []domain.NumberChange
	shift   *domain.Shift
}

// reordered says what a reorder or a move has brought about.
func (c *Change) reordered(p planned) {
	c.Done.Numbers, c.Done.Shift = p.changes, p.shift
	for _, change := range p.changes {
		c.Done.Touched = append(c.Done.Touched, domain.Ref{Group: c.Group(), ID: change.ID})
	}
}

// Plan fills Done with what a reorder or a move would bring about now, or says why it would be refused. It will, when no other changes the order of the group meanwhile: an Order does.
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

// Admit says why a reorder or a move would be refused now. Of a move it reads two rows.
func (s *Store) Admit(ctx context.Context, c *Change) error {
	if c.Move == nil {
		return s.Plan(ctx, c)
	}
	return s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		_, refused, err := plan(ctx, q, c, 1, true)
		return errors.Join(err, refused)
	})
}

// plan finds which numbers a reorder or a move changes; refused is an error of the domain, or ErrLongOrder when it is about more than limit elements; far admits moves over more, of
// which it names none but the one that moves. What it reads must stay as it is meanwhile.
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

// moved is plan of a move.
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
	case shift == nil: // it is there
		return p, nil, nil
	case shift.Count()+1 <= int64(limit):
	case far:
		return planned{[]domain.NumberChange{change}, shift}, nil, nil
	default:
		return p, ErrLongOrder, nil
	}
	var rows []row // numbers have no gap: so many there are from low to high
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

// numbers reads which numbers elements of a group hold.
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

// renumber gives elements their new numbers in two steps, because both databases check uniqueness row by row: first all take
// a number that nobody has, then their new one.
//
// Beside an open shift an element is shown with another number than its row has. But who changes the order shares out the numbers that are there: the rows do the same with theirs, and show what
// they are to show. The shift goes on over them as if nothing had happened.
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

// aside is a number that no element has, another one for each.
func aside(number int64) int64 {
	const far = -1 << 60 // numbers have 53 bits
	if number < 0 {
		return far + 2*number
	}
	return far - 2*number - 1
}

// rowsOf reads which number the rows of elements have, by the number that they are shown with.
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

// handOver has the shift end with the element that gets the number of the one that was moved.
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

// setNumbers gives elements what step makes of their new numbers. What was written to one since the order was made keeps its time. The group stands in the list: as a condition of its own it would have SQLite
// read the whole group.
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
