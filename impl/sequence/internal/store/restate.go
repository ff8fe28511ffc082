package store

import (
	"context"
	"slices"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// restate sets the status of elements; they keep their numbers. An element that already has the status stays unchanged.
func (b *batch) restate(ctx context.Context, status domain.Status, changes []*Change) error {
	var refs []domain.Ref
	for _, c := range changes {
		refs = append(refs, c.Restate.Ref)
	}
	slices.SortFunc(refs, domain.Ref.Compare)
	refs = slices.Compact(refs)
	touched := map[domain.Ref]bool{}
	err := inChunks(refs, func(part []domain.Ref) error {
		args := make([]any, 0, 3*len(part)+3)
		for _, r := range part {
			args = append(args, r.Scope, r.ElementType, r.ID)
		}
		var rows []row
		err := b.tx.Select(ctx, &rows, "WITH wanted (scope, element_type, id) AS ("+database.Values(len(part), database.Text, database.Text, database.Text)+`)
			UPDATE elements SET status = ?, updated_at = ? FROM wanted
			WHERE elements.scope = wanted.scope AND elements.element_type = wanted.element_type AND elements.id = wanted.id
			  AND elements.status <> ?
			RETURNING elements.scope, elements.element_type, elements.id`, append(args, string(status), b.at, string(status))...)
		for _, r := range rows {
			touched[r.ref()] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	rows, err := selectIn(ctx, b.tx, refs, selectWanted)
	if err != nil {
		return err
	}
	now := make(map[domain.Ref]domain.Element, len(rows))
	for _, r := range rows {
		now[r.ref()] = r.element()
	}
	for _, c := range changes {
		element, ok := now[c.Restate.Ref]
		if !ok {
			c.fail(domain.ErrUnknownElement)
			continue
		}
		c.Done.Elements = []domain.Element{element}
		if touched[c.Restate.Ref] {
			c.Done.Touched = []domain.Ref{c.Restate.Ref}
			delete(touched, c.Restate.Ref) // for later changes of the batch it is a repeat
		}
	}
	return nil
}
