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
	changes, refused, err := plan(ctx, b.tx, c)
	if err != nil {
		return err
	}
	if refused != nil {
		c.fail(refused)
		return nil
	}
	g := c.Group()
	if err := b.renumber(ctx, g, changes); err != nil {
		return err
	}
	c.Done.Numbers = changes
	for _, change := range changes {
		c.Done.Touched = append(c.Done.Touched, domain.Ref{Group: g, ID: change.ID})
	}
	return nil
}

// Preview returns which numbers a reorder or a move would change now, or why it would be refused.
func (s *Store) Preview(ctx context.Context, c *Change) (changes []domain.NumberChange, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var refused error
		changes, refused, err = plan(ctx, q, c)
		return errors.Join(err, refused)
	})
	if err != nil {
		return nil, fmt.Errorf("preview order: %w", err)
	}
	return changes, nil
}

// plan finds which numbers a reorder or a move changes; refused is an error of the domain. What it reads must stay as it is meanwhile.
func plan(ctx context.Context, q database.Querier, c *Change) (changes []domain.NumberChange, refused, err error) {
	r := c.Reorder
	if c.Move != nil {
		if r, refused, err = moved(ctx, q, c.Move); refused != nil || err != nil {
			return nil, refused, err
		}
	}
	held, err := numbers(ctx, q, r.Group, r.Order)
	if err != nil {
		return nil, nil, err
	}
	changes, refused = r.Changes(held)
	return changes, refused, nil
}

// moved is a move as the order that it makes.
func moved(ctx context.Context, q database.Querier, m *domain.Move) (r *domain.Reorder, refused, err error) {
	held, err := numbers(ctx, q, m.Group, []string{m.ID, m.Anchor()})
	if err != nil {
		return nil, nil, err
	}
	low, high, refused := m.Span(held)
	if refused != nil {
		return nil, refused, nil
	}
	var ids []string
	err = q.Select(ctx, &ids, "SELECT e.id FROM elements e WHERE e.scope = ? AND e.element_type = ? AND e.number BETWEEN ? AND ? AND"+unloaded+"ORDER BY e.number LIMIT ?",
		m.Scope, m.ElementType, low, high, domain.MaxMoved)
	if err != nil {
		return nil, nil, err
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
	rows, err := selectIn(ctx, q, refs, "SELECT e.scope, e.element_type, e.id, e.number FROM elements e "+onWanted+" WHERE"+unloaded)
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
		err := inChunks(changes, func(part []domain.NumberChange) error {
			args := make([]any, 0, 2*len(part)+3)
			for _, change := range part {
				args = append(args, change.ID, step(change.To))
			}
			args = append(args, b.at, g.Scope, g.ElementType)
			_, err := b.tx.Exec(ctx, "WITH wanted (id, number) AS ("+database.Values(len(part), database.Text, database.Bigint)+`)
				UPDATE elements SET number = wanted.number, updated_at = ? FROM wanted
				WHERE elements.scope = ? AND elements.element_type = ? AND elements.id = wanted.id`, args...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
