package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
)

// TestListAt_endsWithTheCommitThatShowsALongOrder walks beside the transactions of a long reorder: a walk from before goes on up to the one that shows it, and one from behind it to the end of the settling.
func TestListAt_endsWithTheCommitThatShowsALongOrder(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		var ids []string
		for n := range 450 {
			ids = append(ids, fmt.Sprint("line", n))
		}
		apply(t, db, create(lines, ids...))
		s := store.New(db)
		at := func(m *store.Moment) ([]domain.Element, error) {
			return s.ListAt(context.Background(), lines, "", 0, 1, m)
		}
		var before, behind store.Moment
		page, err := at(&before)
		require.NoError(t, err)
		require.Equal(t, ids[0], page[0].ID)
		backwards := slices.Clone(ids)
		slices.Reverse(backwards)
		o := beginOrder(t, db, lines)
		steps := o.stage(t, db, reorder(lines, backwards...))
		for _, step := range steps {
			page, err = at(&before)
			require.NoError(t, err, "nobody sees it yet")
			require.Equal(t, ids[0], page[0].ID)
			step(db)
		}
		for settled := false; !settled; settled = o.settle(t, db) {
			_, err = at(&before)
			require.ErrorIs(t, err, domain.ErrOrderChanged)
			page, err = at(&behind)
			require.NoError(t, err)
			require.Equal(t, ids[449], page[0].ID)
		}
		_, err = at(&behind)
		require.NoError(t, err)
	})
}

// TestListAt_knowsAnotherDatabase has a walk go on after a restore, which gives the feeds another name: that the order has changed as often says nothing.
func TestListAt_knowsAnotherDatabase(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		apply(t, db, create(lines, "a", "b"))
		var m store.Moment
		_, err := store.New(db).ListAt(t.Context(), lines, "", 0, 1, &m)
		require.NoError(t, err)
		write(t, db, func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE feed_name SET name = 'another'")
			return err
		})
		_, err = store.New(db).ListAt(t.Context(), lines, "", 1, 1, &m)
		require.ErrorIs(t, err, domain.ErrOrderChanged)
	})
}
