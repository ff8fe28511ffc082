package store

import (
	"context"

	database "github.com/fountainai/fountain/internal/store"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// reorder gives listed elements each other's numbers, or fails the change.
func (b *batch) reorder(ctx context.Context, c *Change) error {
	r := c.Reorder
	held, err := b.numbers(ctx, r)
	if err != nil {
		return err
	}
	changes, err := r.Changes(held)
	if err != nil {
		c.fail(err)
		return nil
	}
	if err := b.renumber(ctx, r.Group, changes); err != nil {
		return err
	}
	c.Done.Numbers = changes
	for _, change := range changes {
		c.Done.Touched = append(c.Done.Touched, domain.Ref{Group: r.Group, ID: change.ID})
	}
	return nil
}

// numbers reads which numbers the listed elements hold. The group is locked: nobody else can change them.
func (b *batch) numbers(ctx context.Context, r *domain.Reorder) (map[string]int64, error) {
	held := make(map[string]int64, len(r.Order))
	refs := make([]domain.Ref, len(r.Order))
	for i, id := range r.Order {
		refs[i] = domain.Ref{Group: r.Group, ID: id}
	}
	rows, err := selectIn(ctx, b.tx, refs, "SELECT e.scope, e.element_type, e.id, e.number FROM elements e "+onWanted)
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
