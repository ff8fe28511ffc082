package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	exportElements = 500 // elements that one statement reads
	exportVersions = 200 // versions that one statement reads, with their data
)

// Sink receives a scope: each element without its data, then its versions, oldest first.
type Sink interface {
	Format(domain.Format) error // before the first element of its type
	Element(domain.Element) error
	Version(domain.Version) error
}

// Export passes a scope, as it is at one moment, to a sink: types sorted by the bytes of their names, elements in the order of their numbers. It holds a connection and a snapshot of the database
// until the sink has received everything. Error: domain.ErrUnknownScope.
func (s *Store) Export(ctx context.Context, scope string, to Sink) error {
	err := s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var types []string
		if err := q.Select(ctx, &types, "SELECT element_type FROM counters WHERE scope = ? AND last > 0", scope); err != nil {
			return err
		}
		if len(types) == 0 {
			return domain.ErrUnknownScope
		}
		slices.Sort(types)
		for _, elementType := range types {
			if err := exportType(ctx, q, domain.Group{Scope: scope, ElementType: elementType}, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("export scope: %w", err)
	}
	return nil
}

func exportType(ctx context.Context, q database.Querier, g domain.Group, to Sink) error {
	var formats []formatRow
	if err := q.Select(ctx, &formats, selectFormats+"WHERE f.scope = ? AND f.element_type = ?", g.Scope, g.ElementType); err != nil {
		return err
	}
	for _, f := range formats {
		if err := to.Format(f.format()); err != nil {
			return err
		}
	}
	for after := int64(0); ; {
		var rows []row
		err := q.Select(ctx, &rows, inOrder(shortColumns, ""), inOrderArgs(g, after, exportElements)...)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].Number
		for all := elements(rows); len(all) > 0; {
			n, versions := 0, int64(0)
			for n < len(all) && (n == 0 || versions+all[n].Version <= exportVersions) {
				versions += all[n].Version
				n++
			}
			if err := exportSome(ctx, q, all[:n], to); err != nil {
				return err
			}
			all = all[n:]
		}
	}
}

// exportSome exports elements that together have at most exportVersions versions, or a single element with any number.
func exportSome(ctx context.Context, q database.Querier, all []domain.Element, to Sink) error {
	if len(all) == 1 {
		return exportOne(ctx, q, all[0], to)
	}
	refs := make([]domain.Ref, len(all))
	for i, e := range all {
		refs[i] = e.Ref
	}
	var rows []struct {
		ID string `db:"id"`
		versionRow
	}
	args := make([]any, 0, 3*len(refs))
	for _, r := range refs {
		args = append(args, r.Scope, r.ElementType, r.ID)
	}
	err := q.Select(ctx, &rows, "WITH wanted (scope, element_type, id) AS ("+database.Values(len(refs), database.Text, database.Text, database.Text)+`)
		SELECT e.id, e.version, e.data, e.comment, e.created_at, e.created_by FROM versions e `+onWanted, args...)
	if err != nil {
		return err
	}
	of := make(map[string][]domain.Version, len(all))
	for _, r := range rows {
		of[r.ID] = append(of[r.ID], r.version())
	}
	for _, e := range all {
		if err := to.Element(e); err != nil {
			return err
		}
		versions := of[e.ID]
		if int64(len(versions)) != e.Version {
			return fmt.Errorf("%w: an element has %d of %d versions", database.ErrDamaged, len(versions), e.Version)
		}
		slices.SortFunc(versions, func(a, b domain.Version) int { return cmp.Compare(a.Version, b.Version) })
		for _, v := range versions {
			if err := to.Version(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// exportOne exports an element with any number of versions, in as many statements as they need.
func exportOne(ctx context.Context, q database.Querier, e domain.Element, to Sink) error {
	if err := to.Element(e); err != nil {
		return err
	}
	for after := int64(0); after < e.Version; {
		var rows []versionRow
		err := q.Select(ctx, &rows, selectVersions+" AND version > ? ORDER BY version LIMIT ?", e.Scope, e.ElementType, e.ID, after, exportVersions)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("%w: an element has no version %d", database.ErrDamaged, after+1)
		}
		for _, r := range rows {
			if err := to.Version(r.version()); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].Version
	}
	return nil
}
