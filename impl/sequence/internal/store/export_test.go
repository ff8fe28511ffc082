package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
)

// told is a Sink that records an export as words.
type told []string

func (o *told) Format(f domain.Format) error { *o = append(*o, "format "+f.ElementType); return nil }

func (o *told) Element(e domain.Element) error { *o = append(*o, e.ID); return nil }

func (o *told) Version(v domain.Version) error {
	*o = append(*o, fmt.Sprint("v", v.Version))
	return nil
}

// An export shows the scope as of one moment, whatever is written while it is read.
func TestExport_isOneMomentWhileOthersWrite(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		acts := domain.Group{Scope: lines.Scope, ElementType: "act"}
		apply(t, db, create(acts, "i"), create(lines, "a", "b"))
		var out told
		first := sinkFunc{told: &out, before: func() {
			apply(t, db, create(lines, "c"), create(acts, "ii"), revise(lines, "a", 1, `{"new":true}`))
			apply(t, db, reorder(lines, "b", "a"))
		}}
		require.NoError(t, store.New(db).Export(t.Context(), lines.Scope, &first))
		require.Equal(t, told{"i", "v1", "a", "v1", "b", "v1"}, out)
	})
}

// sinkFunc is a Sink that calls a function before the first element.
type sinkFunc struct {
	*told
	before func()
}

func (s *sinkFunc) Element(e domain.Element) error {
	if s.before != nil {
		s.before()
		s.before = nil
	}
	return s.told.Element(e)
}

// An export from a database that has lost a version fails, and does not look complete.
func TestExport_failsWhereAVersionIsMissing(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		apply(t, db, create(lines, "a", "b"))
		apply(t, db, revise(lines, "a", 1, `{}`))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM versions WHERE id = 'a' AND version = 1")
			return err
		}))
		require.ErrorIs(t, store.New(db).Export(t.Context(), lines.Scope, &told{}), database.ErrDamaged)
	})
}
