package store

import (
	"context"
	"slices"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// create appends the drafts of several requests: one statement finds taken ids, one advances every counter, one inserts the
// elements and one their first versions.
func (b *batch) create(ctx context.Context, changes []*Change) error {
	changes, err := b.withoutTaken(ctx, changes)
	if err != nil {
		return err
	}
	changes, grow := b.withinRange(changes)
	if len(changes) == 0 {
		return nil
	}
	// The numbers of a request are those before its group's new last one, in the order of the requests.
	next := make(map[domain.Group]int64, len(grow))
	if err := b.advance(ctx, grow); err != nil {
		return err
	}
	for g, n := range grow {
		next[g] = b.last[g] - n
	}
	var all []domain.Element
	var authors []string
	for _, c := range changes {
		next[c.Create.Group] += int64(len(c.Create.Drafts))
		created := c.Create.Number(next[c.Create.Group], fromMicros(b.at))
		c.Done.Elements = created
		all = append(all, created...)
		for _, e := range created {
			c.Done.Touched = append(c.Done.Touched, e.Ref)
			authors = append(authors, c.Create.Actor.Subject)
		}
	}
	if err := b.insertElements(ctx, all); err != nil {
		return err
	}
	return b.insertVersions(ctx, all, authors)
}

// withoutTaken fails the changes with an id that an element of the group has, or that an earlier change of the batch takes.
func (b *batch) withoutTaken(ctx context.Context, changes []*Change) (rest []*Change, err error) {
	var refs []domain.Ref
	for _, c := range changes {
		if b.last[c.Create.Group] == 0 {
			continue // the group is empty
		}
		for _, d := range c.Create.Drafts {
			refs = append(refs, domain.Ref{Group: c.Create.Group, ID: d.ID})
		}
	}
	rows, err := selectIn(ctx, b.tx, refs, "SELECT e.scope, e.element_type, e.id FROM elements e "+onWanted)
	if err != nil {
		return nil, err
	}
	taken := make(map[domain.Ref]bool, len(rows)+len(refs))
	for _, r := range rows {
		taken[r.ref()] = true
	}
	for _, c := range changes {
		var indexes []int
		for i, d := range c.Create.Drafts {
			if taken[domain.Ref{Group: c.Create.Group, ID: d.ID}] {
				indexes = append(indexes, i)
			}
		}
		if len(indexes) > 0 {
			c.fail(&domain.Exists{Indexes: indexes})
			continue
		}
		for _, d := range c.Create.Drafts {
			taken[domain.Ref{Group: c.Create.Group, ID: d.ID}] = true
		}
		rest = append(rest, c)
	}
	return rest, nil
}

// withinRange fails the changes for which no number is left, and sums the others by group.
func (b *batch) withinRange(changes []*Change) (rest []*Change, grow map[domain.Group]int64) {
	grow = map[domain.Group]int64{}
	for _, c := range changes {
		g, n := c.Create.Group, int64(len(c.Create.Drafts))
		if b.last[g]+grow[g] > domain.MaxNumber-n {
			c.fail(domain.ErrExhausted)
			continue
		}
		grow[g] += n
		rest = append(rest, c)
	}
	return rest, grow
}

// advance gives every group its block of numbers in one statement; b.last holds the new last numbers afterwards.
func (b *batch) advance(ctx context.Context, grow map[domain.Group]int64) error {
	groups := make([]domain.Group, 0, len(grow))
	for g := range grow {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, domain.Group.Compare)
	return inChunks(groups, func(part []domain.Group) error {
		args := make([]any, 0, 3*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType, grow[g])
		}
		return b.readCounters(ctx, "WITH wanted (scope, element_type, n) AS ("+values(len(part), text, text, bigint)+`)
			UPDATE counters SET last = last + wanted.n FROM wanted
			WHERE counters.scope = wanted.scope AND counters.element_type = wanted.element_type
			RETURNING counters.scope, counters.element_type, counters.last`, args...)
	})
}

func (b *batch) insertElements(ctx context.Context, all []domain.Element) error {
	return inChunks(all, func(part []domain.Element) error {
		args := make([]any, 0, 8*len(part))
		for _, e := range part {
			args = append(args, e.Scope, e.ElementType, e.ID, e.Number, string(e.Status), e.Version, b.at, b.at)
		}
		_, err := b.tx.Exec(ctx, "INSERT INTO elements (scope, element_type, id, number, status, version, created_at, updated_at) "+
			values(len(part), text, text, text, bigint, text, bigint, bigint, bigint), args...)
		return err
	})
}

// insertVersions keeps the current versions of the elements, made by the authors of the same index.
func (b *batch) insertVersions(ctx context.Context, all []domain.Element, authors []string) error {
	return inChunks(all, func(part []domain.Element) error {
		args := make([]any, 0, 8*len(part))
		for i, e := range part {
			args = append(args, e.Scope, e.ElementType, e.ID, e.Version, e.Data, e.Comment, b.at, authors[i])
		}
		authors = authors[len(part):]
		_, err := b.tx.Exec(ctx, "INSERT INTO versions (scope, element_type, id, version, data, comment, created_at, created_by) "+
			values(len(part), text, text, text, bigint, text, text, bigint, text), args...)
		return err
	})
}
