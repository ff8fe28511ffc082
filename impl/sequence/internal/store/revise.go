package store

import (
	"context"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// revise gives elements new versions. Several changes to one element are made one after the other, in the order of the batch.
// After the first, the others are stale unless they expect the state that it made.
func (b *batch) revise(ctx context.Context, changes []*Change) error {
	for len(changes) > 0 {
		now := map[domain.Ref]*Change{}
		var later []*Change
		for _, c := range changes {
			if now[c.Revise.Ref] != nil {
				later = append(later, c)
				continue
			}
			now[c.Revise.Ref] = c
		}
		round := pick(changes, func(c *Change) bool { return now[c.Revise.Ref] == c })
		if err := inChunks(round, func(part []*Change) error { return b.reviseRound(ctx, part) }); err != nil {
			return err
		}
		changes = later
	}
	return nil
}

// reviseRound makes changes of which no two are to the same element.
func (b *batch) reviseRound(ctx context.Context, changes []*Change) error {
	data, err := b.revisedData(ctx, changes)
	if err != nil {
		return err
	}
	changes = pick(changes, func(c *Change) bool { return c.Err == nil })
	if len(changes) == 0 {
		return nil
	}
	// The statement itself has the condition: only an element that is in use and in an expected state gets a new version.
	args := make([]any, 0, 4*len(changes)+1)
	refs := make([]domain.Ref, len(changes))
	for i, c := range changes {
		refs[i] = c.Revise.Ref
		args = append(args, c.Revise.Scope, c.Revise.ElementType, c.Revise.ID, c.Revise.Expected.Tags())
	}
	var rows []row
	err = b.tx.Select(ctx, &rows, "WITH wanted (scope, element_type, id, expected) AS ("+database.Values(len(changes), database.Text, database.Text, database.Text, database.Text)+`)
		UPDATE elements SET version = elements.version + 1, updated_at = ? FROM wanted
		WHERE elements.scope = wanted.scope AND elements.element_type = wanted.element_type AND elements.id = wanted.id
		  AND elements.status = 'active' AND (wanted.expected = '*' OR wanted.expected LIKE '%,' || CAST(elements.version AS TEXT) || ',%'
		    OR wanted.expected LIKE '%,' || CAST(elements.version AS TEXT) || '-' || CAST(`+numberOfUpdated+` AS TEXT) || '-' || elements.status || ',%')
		RETURNING elements.scope, elements.element_type, elements.id, `+numberOfUpdated+` AS number, elements.formatted, elements.status, elements.version,
		  elements.created_at, elements.updated_at`, append(args, b.at)...)
	if err != nil {
		return err
	}
	updated := make(map[domain.Ref]row, len(rows))
	for _, r := range rows {
		updated[r.ref()] = r
	}
	var revised []domain.Element
	var authors []string
	for _, c := range changes {
		r, ok := updated[c.Revise.Ref]
		if !ok {
			continue
		}
		r.Data, r.Comment = data[c.Revise.Ref], c.Revise.Comment
		c.Done = Done{Elements: []domain.Element{r.element()}, Touched: []domain.Ref{c.Revise.Ref}}
		revised, authors = append(revised, r.element()), append(authors, c.Revise.Actor.Subject)
	}
	if err := b.insertVersions(ctx, revised, authors); err != nil {
		return err
	}
	return b.explain(ctx, pick(changes, func(c *Change) bool { return c.Done.Elements == nil }))
}

// revisedData returns the data of the new versions. It applies merge patches to the current data, which no other transaction can change because the
// group is locked. A merge patch that can't be applied fails its change alone. A change whose element is not in an expected state is left to the
// condition of the update, which refuses it.
func (b *batch) revisedData(ctx context.Context, changes []*Change) (map[domain.Ref][]byte, error) {
	var merges []domain.Ref
	out := make(map[domain.Ref][]byte, len(changes))
	for _, c := range changes {
		if out[c.Revise.Ref] = c.Revise.Data; c.Revise.Merge != nil {
			merges = append(merges, c.Revise.Ref)
		}
	}
	rows, err := selectIn(ctx, b.tx, merges, selectWanted)
	if err != nil {
		return nil, err
	}
	now := make(map[domain.Ref]domain.Element, len(rows))
	for _, r := range rows {
		now[r.ref()] = r.element()
	}
	for _, c := range changes {
		e, there := now[c.Revise.Ref]
		if !there || e.Status != domain.Active || !c.Revise.Expected.HoldsState(e.Version, domain.StateWords(e.Number, e.Status)...) {
			continue
		}
		if out[c.Revise.Ref], err = c.Revise.Apply(e.Data); err != nil {
			c.fail(err)
		}
	}
	return out, nil
}

// explain fails the changes for which the update found no element in an expected state, and says why: there is no such element, it is omitted, or its
// state is another one.
func (b *batch) explain(ctx context.Context, changes []*Change) error {
	refs := make([]domain.Ref, len(changes))
	for i, c := range changes {
		refs[i] = c.Revise.Ref
	}
	rows, err := selectIn(ctx, b.tx, refs, "SELECT e.scope, e.element_type, e.id, e.version, "+numberNow+" AS number, e.status FROM elements e "+onWanted+shownMove)
	if err != nil {
		return err
	}
	current := make(map[domain.Ref]row, len(rows))
	for _, r := range rows {
		current[r.ref()] = r
	}
	for _, c := range changes {
		now, ok := current[c.Revise.Ref]
		status := domain.Status(now.Status)
		switch {
		case !ok:
			c.fail(domain.ErrUnknownElement)
		case status == domain.Omitted && c.Revise.Expected.HoldsState(now.Version, domain.StateWords(now.Number, status)...):
			c.fail(domain.ErrOmitted)
		default:
			c.fail(&domain.Stale{Version: now.Version, Number: now.Number, Status: status})
		}
	}
	return nil
}
