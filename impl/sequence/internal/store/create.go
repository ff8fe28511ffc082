package store

import (
	"context"
	"maps"
	"slices"

	database "github.com/fountainai/fountain/internal/store"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// create appends the drafts of several requests. One statement finds ids that are taken, one advances all counters, one or two
// find and advance the number formats, one inserts the elements and one their first versions.
func (b *batch) create(ctx context.Context, changes []*Change) error {
	changes, err := b.withoutTaken(ctx, changes)
	if err != nil || len(changes) == 0 {
		return err
	}
	next, err := b.advance(ctx, changes)
	if err != nil {
		return err
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
	if err := b.formatted(ctx, all); err != nil {
		return err
	}
	done := all
	for _, c := range changes {
		n := len(c.Done.Elements)
		c.Done.Elements, done = done[:n:n], done[n:] // with their formatted numbers
	}
	if err := b.insertElements(ctx, all); err != nil {
		return err
	}
	return b.insertVersions(ctx, all, authors)
}

// withoutTaken fails the changes with an id that an element of the group has, or that an earlier change of the batch takes, and returns
// the others. Another replica can still take an id until the counters are locked: insertElements detects that.
func (b *batch) withoutTaken(ctx context.Context, changes []*Change) (rest []*Change, err error) {
	var refs []domain.Ref
	for _, c := range changes {
		for _, d := range c.Create.Drafts {
			if !d.Named() {
				refs = append(refs, domain.Ref{Group: c.Create.Group, ID: d.ID})
			}
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
		if err := takenIn(c.Create, taken); err != nil {
			c.fail(err)
			continue
		}
		for _, d := range c.Create.Drafts {
			taken[domain.Ref{Group: c.Create.Group, ID: d.ID}] = true
		}
		rest = append(rest, c)
	}
	return rest, nil
}

// takenIn returns a *domain.Exists with the drafts whose id is taken, or nil.
func takenIn(create *domain.Create, taken map[domain.Ref]bool) error {
	var indexes []int
	for i, d := range create.Drafts {
		if taken[domain.Ref{Group: create.Group, ID: d.ID}] {
			indexes = append(indexes, i)
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	return &domain.Exists{Indexes: indexes}
}

// advance reserves a block of numbers in every group, and returns the last number before each block. It inserts the counter of a group that
// has none. Error: domain.ErrExhausted.
func (b *batch) advance(ctx context.Context, changes []*Change) (before map[domain.Group]int64, err error) {
	grow := map[domain.Group]int64{}
	for _, c := range changes {
		grow[c.Create.Group] += int64(len(c.Create.Drafts))
	}
	// The order in which every transaction locks counters.
	groups := slices.SortedFunc(maps.Keys(grow), domain.Group.Compare)
	before = make(map[domain.Group]int64, len(grow))
	err = inChunks(groups, func(part []domain.Group) error {
		args := make([]any, 0, 3*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType, grow[g])
		}
		var rows []struct {
			Scope       string `db:"scope"`
			ElementType string `db:"element_type"`
			Last        int64  `db:"last"`
		}
		err := b.tx.Select(ctx, &rows, "INSERT INTO counters (scope, element_type, last) "+database.Values(len(part), database.Text, database.Text, database.Bigint)+`
			ON CONFLICT (scope, element_type) DO UPDATE SET last = counters.last + excluded.last
			RETURNING scope, element_type, last`, args...)
		for _, r := range rows {
			g := domain.Group{Scope: r.Scope, ElementType: r.ElementType}
			if before[g] = r.Last - grow[g]; r.Last > domain.MaxNumber {
				return domain.ErrExhausted // the batch or one request asks for too many: the committer tries each request alone
			}
		}
		return err
	})
	return before, err
}

// insertElements inserts all elements, or returns a *domain.Exists when another replica has taken an id meanwhile. The indexes are those
// of the drafts only if all elements are of one request; the committer tries the requests of a larger batch again one by one.
func (b *batch) insertElements(ctx context.Context, all []domain.Element) error {
	inserted := int64(0)
	err := inChunks(all, func(part []domain.Element) error {
		args := make([]any, 0, 9*len(part))
		for _, e := range part {
			args = append(args, e.Scope, e.ElementType, e.ID, e.Number, formattedOrNull(e), string(e.Status), e.Version, b.at, b.at)
		}
		rows, err := b.tx.Exec(ctx, "INSERT INTO elements (scope, element_type, id, number, formatted, status, version, created_at, updated_at) "+
			database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint, database.Text, database.Text, database.Bigint, database.Bigint, database.Bigint)+" ON CONFLICT (scope, element_type, id) DO NOTHING", args...)
		inserted += rows
		return err
	})
	if err != nil || inserted == int64(len(all)) {
		return err
	}
	return b.taken(ctx, all)
}

func formattedOrNull(e domain.Element) *string {
	if e.Formatted == "" {
		return nil
	}
	return &e.Formatted
}

// taken returns a *domain.Exists with the elements whose id another transaction has inserted: those rows have another number.
func (b *batch) taken(ctx context.Context, all []domain.Element) error {
	refs := make([]domain.Ref, len(all))
	index := make(map[domain.Ref]int, len(all))
	for i, e := range all {
		refs[i], index[e.Ref] = e.Ref, i
	}
	rows, err := selectIn(ctx, b.tx, refs, "SELECT e.scope, e.element_type, e.id, e.number FROM elements e "+onWanted)
	if err != nil {
		return err
	}
	exists := &domain.Exists{}
	for _, r := range rows {
		if i := index[r.ref()]; r.Number != all[i].Number {
			exists.Indexes = append(exists.Indexes, i)
		}
	}
	slices.Sort(exists.Indexes)
	return exists
}

// insertVersions inserts the current version of each element, created by the author of the same index.
func (b *batch) insertVersions(ctx context.Context, all []domain.Element, authors []string) error {
	return inChunks(all, func(part []domain.Element) error {
		args := make([]any, 0, 8*len(part))
		for i, e := range part {
			args = append(args, e.Scope, e.ElementType, e.ID, e.Version, e.Data, e.Comment, b.at, authors[i])
		}
		authors = authors[len(part):]
		_, err := b.tx.Exec(ctx, "INSERT INTO versions (scope, element_type, id, version, data, comment, created_at, created_by) "+
			database.Values(len(part), database.Text, database.Text, database.Text, database.Bigint, database.Text, database.Text, database.Bigint, database.Text), args...)
		return err
	})
}
