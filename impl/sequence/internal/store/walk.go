package store

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

// BeginWalk starts a walk that marks all elements of a scope as changed for search, a few at a time (WalkStep). A walk that is under way starts anew.
func BeginWalk(ctx context.Context, tx *database.Tx, scope string) error {
	_, err := tx.Exec(ctx, `INSERT INTO search_walks (scope, element_type, element_id) VALUES (?, '', '')
		ON CONFLICT (scope) DO UPDATE SET element_type = '', element_id = ''`, scope)
	if err != nil {
		return fmt.Errorf("begin walk over a scope: %w", err)
	}
	return nil
}

// WalkStep passes the next elements of one walk to mark, in the transaction that advances the walk. It returns false when there is no walk, or when other transactions hold all of them.
func WalkStep(ctx context.Context, tx *database.Tx, limit int, mark func(ctx context.Context, tx *database.Tx, refs []domain.Ref) error) (more bool, err error) {
	skip := ""
	if tx.Dialect() == database.PostgreSQL {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	var walks []struct {
		Scope       string `db:"scope"`
		ElementType string `db:"element_type"`
		ElementID   string `db:"element_id"`
	}
	if err := tx.Select(ctx, &walks, "SELECT scope, element_type, element_id FROM search_walks ORDER BY scope LIMIT 1"+skip); err != nil || len(walks) == 0 {
		return false, err
	}
	w := walks[0]
	var rows []row
	err = tx.Select(ctx, &rows, `SELECT scope, element_type, id FROM elements WHERE scope = ? AND (element_type, id) > (?, ?) ORDER BY element_type, id LIMIT ?`,
		w.Scope, w.ElementType, w.ElementID, limit)
	if err != nil {
		return false, fmt.Errorf("walk over a scope: %w", err)
	}
	if len(rows) == 0 {
		_, err := tx.Exec(ctx, "DELETE FROM search_walks WHERE scope = ?", w.Scope)
		return true, err
	}
	refs := make([]domain.Ref, len(rows))
	for i, r := range rows {
		refs[i] = r.ref()
	}
	if err := mark(ctx, tx, refs); err != nil {
		return false, err
	}
	last := refs[len(refs)-1]
	_, err = tx.Exec(ctx, "UPDATE search_walks SET element_type = ?, element_id = ? WHERE scope = ?", last.ElementType, last.ID, w.Scope)
	return true, err
}

// Walks returns how many walks are not finished.
func (s *Store) Walks(ctx context.Context) (n int64, err error) {
	if err := s.db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM search_walks"); err != nil {
		return 0, fmt.Errorf("count walks over scopes: %w", err)
	}
	return n, nil
}
