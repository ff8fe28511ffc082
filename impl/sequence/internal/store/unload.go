package store

import (
	"context"
	"fmt"
	"time"

	database "github.com/fountainai/fountain/internal/store"
)

// unloadStep is how many rows of a failed import one transaction deletes.
const unloadStep = 1000

// EndLoads gives up the imports that have written nothing since a time; with a time in the far future, all. An import that still runs then fails with domain.ErrImportLost.
func EndLoads(ctx context.Context, tx *database.Tx, silentSince time.Time) error {
	silent := database.Rows{Table: "scope_loads", Key: []string{"scope"}, Where: "NOT ended AND touched_at < ?", Args: []any{silentSince.UnixMicro()}}
	if _, err := silent.Update(ctx, tx, "ended = TRUE"); err != nil { // Update skips locked rows: such an import is writing now
		return fmt.Errorf("give up silent imports: %w", err)
	}
	return nil
}

// EndLoad gives up the import.
func EndLoad(ctx context.Context, tx *database.Tx, l *Load) error {
	if _, err := tx.Exec(ctx, "UPDATE scope_loads SET ended = TRUE WHERE scope = ? AND id = ?", l.Scope, l.ID); err != nil {
		return fmt.Errorf("give up import: %w", err)
	}
	return nil
}

// EndedLoads returns up to limit imports that were given up and still have rows.
func (s *Store) EndedLoads(ctx context.Context, limit int) ([]*Load, error) {
	var rows []struct {
		Scope string `db:"scope"`
		ID    string `db:"id"`
	}
	if err := s.db.Read(ctx).Select(ctx, &rows, "SELECT scope, id FROM scope_loads WHERE ended ORDER BY scope LIMIT ?", limit); err != nil {
		return nil, fmt.Errorf("list aborted imports: %w", err)
	}
	out := make([]*Load, len(rows))
	for i, r := range rows {
		out[i] = &Load{Scope: r.Scope, ID: r.ID}
	}
	return out, nil
}

// Unload deletes some rows of an import that was given up, and at last the row in scope_loads. It returns whether all are deleted.
func (s *Store) Unload(ctx context.Context, l *Load) (gone bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		gone = false
		held, err := tx.Exec(ctx, "UPDATE scope_loads SET touched_at = touched_at WHERE scope = ? AND id = ? AND ended", l.Scope, l.ID)
		if err != nil || held == 0 {
			gone = true // another replica has deleted them
			return err
		}
		for _, rows := range []struct{ table, key string }{{"versions", "element_type, id, version"}, {"changes", "position"}, {"elements", "element_type, id"}} {
			n, err := tx.Exec(ctx, "DELETE FROM "+rows.table+" WHERE scope = ? AND ("+rows.key+") IN (SELECT "+rows.key+" FROM "+rows.table+" WHERE scope = ? ORDER BY "+rows.key+" LIMIT ?)",
				l.Scope, l.Scope, unloadStep)
			if err != nil || n > 0 {
				return err
			}
		}
		_, err = tx.Exec(ctx, "DELETE FROM scope_loads WHERE scope = ? AND id = ?", l.Scope, l.ID)
		gone = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove rows of an import: %w", err)
	}
	return gone, nil
}
