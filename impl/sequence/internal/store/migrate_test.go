package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
)

// TestMigrations_fillTheFeedWithWhatIsThere runs the statements that fill the feed on elements without a feed.
func TestMigrations_fillTheFeedWithWhatIsThere(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		apply(t, db, create(lines, "a", "b"))
		apply(t, db, create(lines, "d", "e"), revise(lines, "a", 1, `{}`))
		apply(t, db, omit(lines, "e"))
		apply(t, db, omit(lines, "b"))
		apply(t, db, omit(lines, "d"))
		apply(t, db, restore(lines, "d"))
		text, err := fs.ReadFile(store.Migrations, "00101_changes.sql")
		require.NoError(t, err)
		_, fill, found := strings.Cut(string(text), "PRIMARY KEY (scope, position)\n);")
		require.True(t, found)
		fill, _, _ = strings.Cut(fill, "-- +goose Down")
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			for statement := range strings.SplitSeq("DELETE FROM changes;DELETE FROM feeds;"+fill, ";") {
				if strings.TrimSpace(statement) == "" {
					continue
				}
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		}))
		apply(t, db, create(lines, "c"))
		changes, err := store.New(db).Changes(t.Context(), lines.Scope, 0, 10)
		require.NoError(t, err)
		var told []string
		for i, c := range changes {
			require.EqualValues(t, i+1, c.Position)
			told = append(told, fmt.Sprintf("%s %s v%d #%d", c.Kind, c.ID, c.Version, c.Number))
		}
		require.Equal(t, []string{"created a v1 #1", "revised a v2 #1", "created b v1 #2", "created d v1 #3", "created e v1 #4", "omitted b v1 #2", "omitted e v1 #4",
			"created c v1 #5"}, told)
	})
}
