package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

func readSchema(text string) (s reindex.Schema, err error) {
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read schema: %w", err)
	}
	return s, nil
}

// Wanted implements reindex.SchemaRows.
func (s *Store) Wanted(ctx context.Context, c *owner.Collection) (w reindex.Wanted, err error) {
	defer tried.To(&err, "read schema of collection")
	return s.wanted(ctx, s.db.Read(ctx), c)
}

func (s *Store) wanted(ctx context.Context, q store.Querier, c *owner.Collection) (w reindex.Wanted, err error) {
	var row struct {
		Desired string
		Version int64 `db:"schema_version"`
		Reindex string
	}
	err = q.Get(ctx, &row, "SELECT desired, schema_version, reindex FROM collections WHERE "+ofCollection, key(c)...)
	if errors.Is(err, sql.ErrNoRows) {
		return w, owner.ErrGone
	}
	if err != nil {
		return w, err
	}
	w = reindex.Wanted{Text: row.Desired, Version: row.Version, Reindex: row.Reindex}
	w.Schema, err = readSchema(row.Desired)
	return w, err
}

// SetWanted implements reindex.SchemaRows.
func (s *Store) SetWanted(ctx context.Context, c *owner.Collection, text string, over int64, e *audit.Event) (version int64, err error) {
	defer tried.To(&err, "store schema of collection")
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lock(ctx, tx, c); err != nil {
			return err
		}
		w, err := s.wanted(ctx, tx, c)
		if err != nil {
			return err
		}
		if w.Version != over {
			return reindex.ErrVersion
		}
		if err := s.checkNoReindex(ctx, tx, w.Reindex); err != nil {
			return err
		}
		version = over + 1
		if _, err := tx.Exec(ctx, "UPDATE collections SET desired = ?, schema_version = ? WHERE "+ofCollection, append([]any{text, version}, key(c)...)...); err != nil || e == nil {
			return err
		}
		return audit.Append(ctx, tx, *e)
	})
	return version, err
}

// lock locks the row of a collection. It is locked before the rows of its reindexes. Error: owner.ErrGone.
func (s *Store) lock(ctx context.Context, tx *store.Tx, c *owner.Collection) error {
	n, err := tx.Exec(ctx, "UPDATE collections SET made = 1 WHERE "+ofCollection, key(c)...)
	if err == nil && n == 0 {
		return owner.ErrGone
	}
	return err
}

// checkNoReindex returns reindex.ErrUnderWay if the current reindex of the collection has not ended. One that only keeps the old collection
// does not count.
func (s *Store) checkNoReindex(ctx context.Context, tx *store.Tx, current string) error {
	if current == "" {
		return nil
	}
	var n int64
	err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM reindexes WHERE id = ? AND state <> ?", current, string(reindex.Done))
	if err == nil && n > 0 {
		return reindex.ErrUnderWay
	}
	return err
}
