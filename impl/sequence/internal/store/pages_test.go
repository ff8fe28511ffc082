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

// TestListAt_endsWithTheCommitThatShowsALongOrder lists between the transactions of a long reorder or move. A listing that began before it goes on up to the transaction that shows it. One that began
// after that goes on to the end of the settling. A reorder that changes nothing ends no listing.
func TestListAt_endsWithTheCommitThatShowsALongOrder(t *testing.T) {
	var ids []string
	for n := range 450 {
		ids = append(ids, fmt.Sprint("line", n))
	}
	turned := slices.Clone(ids)
	slices.Reverse(turned)
	for name, change := range map[string]func() *store.Change{
		"reorder": func() *store.Change { return reorder(lines, turned...) },
		"move": func() *store.Change {
			return &store.Change{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: ids[449]}, Before: ids[0], Actor: author}}
		},
		"nothing": func() *store.Change { return reorder(lines, ids...) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
				db := open(t)
				apply(t, db, create(lines, ids...))
				c := change()
				o := beginOrder(t, db, lines)
				steps := o.stage(t, db, c)
				walks := &walks{t: t, s: store.New(db)}
				walks.goesOn(&walks.before, ids[0])
				for _, step := range steps {
					walks.goesOn(&walks.before, ids[0]) // nobody sees it yet
					step(db)
				}
				shows := ids[449]
				if len(c.Done.Numbers) == 0 {
					shows = ids[0]
				}
				for settled := false; !settled; settled = o.settle(t, db) {
					if _, err := walks.at(&walks.before); len(c.Done.Numbers) > 0 {
						require.ErrorIs(t, err, domain.ErrOrderChanged)
					} else {
						require.NoError(t, err)
					}
					walks.goesOn(&walks.behind, shows)
				}
				walks.goesOn(&walks.behind, shows)
			})
		})
	}
}

// walks are a listing that began before an order was shown, and one that began after it.
type walks struct {
	t              *testing.T
	s              *store.Store
	before, behind store.Moment
}

func (w *walks) at(m *store.Moment) ([]domain.Element, error) {
	return w.s.ListAt(context.Background(), lines, "", 0, 1, m)
}

func (w *walks) goesOn(m *store.Moment, first string) {
	w.t.Helper()
	page, err := w.at(m)
	require.NoError(w.t, err)
	require.Equal(w.t, first, page[0].ID)
}

// TestListAt_knowsAnotherDatabase continues a listing after a restore, which renames the feeds. That the order has changed equally often must not count then.
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
