package store

import (
	"context"
	"errors"
	"fmt"

	database "github.com/fountainai/fountain/internal/store"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// reorder gives listed elements each other's numbers, or fails the change.
func (b *batch) reorder(ctx context.Context, c *Change) error {
	busy, err := ordering(ctx, b.tx, c.Group())
	if err != nil {
		return err
	}
	if busy {
		c.fail(domain.ErrOrdering)
		return nil
	}
	changes, refused, err := plan(ctx, b.tx, c, LongOrder)
	if err != nil {
		return err
	}
	if refused != nil {
		c.fail(refused)
		return nil
	}
	if len(changes) > 0 {
		if err := b.renumber(ctx, c.Group(), changes); err != nil {
			return err
		}
		if err := countOrder(ctx, b.tx, c.Group()); err != nil {
			return err
		}
	}
	c.reordered(changes)
	return nil
}

// reordered says what a reorder or a move has brought about.
func (c *Change) reordered(changes []domain.NumberChange) {
	c.Done.Numbers = changes
	for _, change := range changes {
		c.Done.Touched = append(c.Done.Touched, domain.Ref{Group: c.Group(), ID: change.ID})
	}
}

// Plan fills Done with what a reorder or a move will bring about, which it does when no other changes the order of the group meanwhile: an Order does.
func (s *Store) Plan(ctx context.Context, c *Change) error {
	changes, err := s.Preview(ctx, c)
	if err != nil {
		return err
	}
	c.reordered(changes)
	return nil
}

// Preview returns which numbers a reorder or a move would change now, or why it would be refused.
func (s *Store) Preview(ctx context.Context, c *Change) (changes []domain.NumberChange, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var refused error
		changes, refused, err = plan(ctx, q, c, domain.MaxMoved)
		return errors.Join(err, refused)
	})
	if err != nil {
		return nil, fmt.Errorf("preview order: %w", err)
	}
	return changes, nil
}

// plan finds which numbers a reorder or a move changes; refused is an error of the domain, or ErrLongOrder when it is about more than limit elements. What it reads must stay as it is
// meanwhile.
func plan(ctx context.Context, q database.Querier, c *Change, limit int) (changes []domain.NumberChange, refused, err error) {
	r := c.Reorder
	if c.Move != nil {
		if r, refused, err = moved(ctx, q, c.Move, limit); refused != nil || err != nil {
			return nil, refused, err
		}
	}
	if len(r.Order) > limit {
		return nil, ErrLongOrder, nil
	}
	held, err := numbers(ctx, q, r.Group, r.Order)
	if err != nil {
		return nil, nil, err
	}
	changes, refused = r.Changes(held)
	return changes, refused, nil
}

// moved is a move as the order that it makes.
func moved(ctx context.Context, q database.Querier, m *domain.Move, limit int) (r *domain.Reorder, refused, err error) {
	held, err := numbers(ctx, q, m.Group, []string{m.ID, m.Anchor()})
	if err != nil {
		return nil, nil, err
	}
	low, high, refused := m.Span(held)
	if refused != nil {
		return nil, refused, nil
	}
	if high-low >= int64(limit) {
		return nil, ErrLongOrder, nil
	}
	var rows []row // numbers have no gap: so many there are from low to high
	if err := q.Select(ctx, &rows, inOrder("e.id, "+numberNow+" AS number", "AND"+unloaded), inOrderArgs(m.Group, low-1, int(high-low)+1)...); err != nil {
		return nil, nil, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return m.Reorder(ids), nil, nil
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
// a negative number, which nobody else has, then their new one.
func (b *batch) renumber(ctx context.Context, g domain.Group, changes []domain.NumberChange) error {
	for _, step := range []func(to int64) int64{
		func(to int64) int64 { return -to },
		func(to int64) int64 { return to },
	} {
		if err := b.setNumbers(ctx, g, changes, step); err != nil {
			return err
		}
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
