package store

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// Scopes returns up to limit scopes that follow a name, in the order of their names. It reads the numbers of elements from the counters, because numbers have no gap.
func (s *Store) Scopes(ctx context.Context, after string, limit int) ([]domain.ScopeSummary, error) {
	var rows []struct {
		Scope string `db:"scope"`
		Types int64  `db:"types"`
		Count int64  `db:"count"`
	}
	err := s.db.Read(ctx).Select(ctx, &rows, `SELECT scope, COUNT(*) AS types, CAST(SUM(last) AS BIGINT) AS count FROM counters
		WHERE scope > ? AND last > 0 GROUP BY scope ORDER BY scope LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list scopes: %w", err)
	}
	out := make([]domain.ScopeSummary, len(rows))
	for i, r := range rows {
		out[i] = domain.ScopeSummary{Scope: r.Scope, Types: r.Types, Count: r.Count}
	}
	return out, nil
}

// Types returns the number of elements of each type of a scope, in the order of the types' names, or domain.ErrUnknownScope.
func (s *Store) Types(ctx context.Context, scope string) ([]domain.TypeSummary, error) {
	var rows []struct {
		ElementType string `db:"element_type"`
		Last        int64  `db:"last"`
		Omitted     int64  `db:"omitted"`
	}
	err := s.db.Read(ctx).Select(ctx, &rows, `SELECT c.element_type, c.last, (SELECT COUNT(*) FROM elements e
		  WHERE e.scope = c.scope AND e.element_type = c.element_type AND e.status = 'omitted') AS omitted
		FROM counters c WHERE c.scope = ? AND c.last > 0 ORDER BY c.element_type`, scope)
	if err != nil {
		return nil, fmt.Errorf("count elements: %w", err)
	}
	if len(rows) == 0 {
		return nil, domain.ErrUnknownScope
	}
	out := make([]domain.TypeSummary, len(rows))
	for i, r := range rows {
		out[i] = domain.TypeSummary{ElementType: r.ElementType, Count: r.Last, Omitted: r.Omitted}
	}
	return out, nil
}
