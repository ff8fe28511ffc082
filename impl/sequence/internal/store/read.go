package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// Known returns domain.ErrUnknownScope when the scope has no element of any type.
func (s *Store) Known(ctx context.Context, scope string) error {
	var one int
	err := s.db.Read(ctx).Get(ctx, &one, "SELECT 1 FROM counters WHERE scope = ? AND last > 0 LIMIT 1", scope)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.ErrUnknownScope
	}
	if err != nil {
		return fmt.Errorf("look for scope: %w", err)
	}
	return nil
}

// List returns up to limit elements of the group whose number is above after, in the order of their numbers. An empty status
// means any. A known scope without elements of the type gives none. An unknown scope gives domain.ErrUnknownScope.
func (s *Store) List(ctx context.Context, g domain.Group, status domain.Status, after int64, limit int) ([]domain.Element, error) {
	out, err := list(ctx, s.db.Read(ctx), g, status, after, limit)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, s.Known(ctx, g.Scope)
	}
	return out, nil
}

// list is List on any Querier, without the check that the scope is known.
func list(ctx context.Context, q database.Querier, g domain.Group, status domain.Status, after int64, limit int) ([]domain.Element, error) {
	condition := ""
	switch status {
	case domain.Active:
		condition = "AND e.status = 'active' "
	case domain.Omitted:
		condition = "AND e.status = 'omitted' " // a literal, so that the planner can use the partial index
	}
	var rows []row
	if err := q.Select(ctx, &rows, inOrder(elementColumns, condition+"AND"+unloaded), inOrderArgs(g, after, limit)...); err != nil {
		return nil, fmt.Errorf("list elements: %w", err)
	}
	return elements(rows), nil
}

// Get returns an element, or domain.ErrUnknownElement.
func (s *Store) Get(ctx context.Context, ref domain.Ref) (domain.Element, error) {
	var r row
	err := s.db.Read(ctx).Get(ctx, &r, "SELECT "+elementColumns+" FROM elements e"+shownMove+"WHERE e.scope = ? AND e.element_type = ? AND e.id = ? AND"+unloaded, ref.Scope, ref.ElementType, ref.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Element{}, domain.ErrUnknownElement
	}
	if err != nil {
		return domain.Element{}, fmt.Errorf("read element: %w", err)
	}
	return r.element(), nil
}

// Current returns the elements of refs that exist, in no particular order.
func (s *Store) Current(ctx context.Context, refs []domain.Ref) ([]domain.Element, error) {
	rows, err := selectIn(ctx, s.db.Read(ctx), refs, selectWanted+" WHERE"+unloaded)
	if err != nil {
		return nil, fmt.Errorf("read elements: %w", err)
	}
	return elements(rows), nil
}

// After returns up to limit references of elements that follow ref in the order of Ref.Compare, for walks over all elements.
func (s *Store) After(ctx context.Context, ref domain.Ref, limit int) ([]domain.Ref, error) {
	return After(ctx, s.db.Read(ctx), ref, limit)
}

// After is Store.After on any Querier.
func After(ctx context.Context, q database.Querier, ref domain.Ref, limit int) ([]domain.Ref, error) {
	var rows []row
	err := q.Select(ctx, &rows, `SELECT e.scope, e.element_type, e.id FROM elements e
		WHERE (e.scope, e.element_type, e.id) > (?, ?, ?) AND`+unloaded+`ORDER BY e.scope, e.element_type, e.id LIMIT ?`, ref.Scope, ref.ElementType, ref.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("walk elements: %w", err)
	}
	out := make([]domain.Ref, len(rows))
	for i, r := range rows {
		out[i] = r.ref()
	}
	return out, nil
}

type versionRow struct {
	Version   int64   `db:"version"`
	Data      []byte  `db:"data"`
	Comment   *string `db:"comment"`
	CreatedAt int64   `db:"created_at"`
	CreatedBy string  `db:"created_by"`
}

func (r versionRow) version() domain.Version {
	return domain.Version{Version: r.Version, Comment: r.Comment, Data: r.Data, CreatedAt: fromMicros(r.CreatedAt), CreatedBy: r.CreatedBy}
}

const selectVersions = `SELECT version, data, comment, created_at, created_by FROM versions e WHERE scope = ? AND element_type = ? AND id = ? AND` + unloaded

// Versions returns up to limit versions of an element that follow the version after, oldest first, or domain.ErrUnknownElement.
func (s *Store) Versions(ctx context.Context, ref domain.Ref, after int64, limit int) ([]domain.Version, error) {
	var rows []versionRow
	err := s.db.Read(ctx).Select(ctx, &rows, selectVersions+"AND version > ? ORDER BY version LIMIT ?", ref.Scope, ref.ElementType, ref.ID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	if len(rows) == 0 {
		return nil, s.exists(ctx, ref)
	}
	out := make([]domain.Version, len(rows))
	for i, r := range rows {
		out[i] = r.version()
	}
	return out, nil
}

// Version returns one version of an element, domain.ErrUnknownElement or domain.ErrUnknownVersion.
func (s *Store) Version(ctx context.Context, ref domain.Ref, version int64) (domain.Version, error) {
	var r versionRow
	err := s.db.Read(ctx).Get(ctx, &r, selectVersions+"AND version = ?", ref.Scope, ref.ElementType, ref.ID, version)
	if errors.Is(err, sql.ErrNoRows) {
		if err := s.exists(ctx, ref); err != nil {
			return domain.Version{}, err
		}
		return domain.Version{}, domain.ErrUnknownVersion
	}
	if err != nil {
		return domain.Version{}, fmt.Errorf("read version: %w", err)
	}
	return r.version(), nil
}

func (s *Store) exists(ctx context.Context, ref domain.Ref) error {
	var one int
	err := s.db.Read(ctx).Get(ctx, &one, "SELECT 1 FROM elements e WHERE e.scope = ? AND e.element_type = ? AND e.id = ? AND"+unloaded, ref.Scope, ref.ElementType, ref.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.ErrUnknownElement
	}
	if err != nil {
		return fmt.Errorf("look for element: %w", err)
	}
	return nil
}
