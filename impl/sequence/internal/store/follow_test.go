package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
)

func TestFeed_keepsItsNameUntilItGetsAnother(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		named := func(do func(context.Context, *database.Tx, string) error, name string) domain.Feed {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error { return do(ctx, tx, name) }))
			feed, err := store.New(open(t)).Feed(t.Context(), lines.Scope)
			require.NoError(t, err)
			return feed
		}
		feed := named(store.NameFeeds, "first")
		require.Equal(t, domain.Feed{Name: "first"}, feed)
		require.ErrorIs(t, feed.Admit("first", 0), domain.ErrUnknownScope)
		require.ErrorIs(t, feed.Admit("other", 0), domain.ErrOtherFeed)
		apply(t, db, create(lines, "a", "b"))
		require.Equal(t, "first", named(store.NameFeeds, "of another replica").Name)
		feed = named(store.RenameFeeds, "second")
		require.Equal(t, domain.Feed{Name: "second", Known: true, Last: 2}, feed)
		require.ErrorIs(t, feed.Admit("first", 0), domain.ErrOtherFeed)
		require.ErrorIs(t, feed.Admit("second", 3), domain.ErrBeyondFeed)
		require.NoError(t, feed.Admit("second", 2))
		require.NoError(t, feed.Admit("", 2))
	})
}

func TestEnds_areThoseOfEveryReplica(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		one, other := open(t), open(t)
		apply(t, one, create(lines, "a", "b"))
		apply(t, other, create(domain.Group{Scope: "lear", ElementType: "line"}, "a"))
		ends, err := store.New(one).Ends(t.Context(), []string{lines.Scope, "lear", "nobody"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{lines.Scope: 2, "lear": 1}, ends)
	})
}
