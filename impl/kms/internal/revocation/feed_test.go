package revocation_test

import (
	"context"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// each opens the feed on every database; more opens it as a further replica.
func each(t *testing.T, f func(t *testing.T, db *store.DB, feed *revocation.Feed, more func() (*store.DB, *revocation.Feed))) {
	t.Helper()
	storetest.Each(t, []fs.FS{kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		more := func() (*store.DB, *revocation.Feed) {
			db := open(t)
			feed, err := revocation.Open(t.Context(), db, kmsdb.Revocations{}, clock.System, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			return db, feed
		}
		db, feed := more()
		f(t, db, feed, more)
	})
}

func end(ctx context.Context, db *store.DB, feed *revocation.Feed, ids ...string) error {
	return db.Write(ctx, func(_ context.Context, tx *store.Tx) error {
		for _, id := range ids {
			feed.Append(tx, ended.Session, id, 0)
		}
		return nil
	})
}

func ids(p revocation.Page) (out []string) {
	for _, e := range p.Entries {
		out = append(out, e.ID)
	}
	return out
}

func TestFeed_tellsWhatWasEndedInOrder(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, feed *revocation.Feed, _ func() (*store.DB, *revocation.Feed)) {
		require.NoError(t, end(t.Context(), db, feed, "a", "b"))
		require.NoError(t, end(t.Context(), db, feed, "c"))
		first, err := feed.After(t.Context(), "", 0, 2, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, ids(first))
		second, err := feed.After(t.Context(), first.Feed, first.Position, 2, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"c"}, ids(second))
		beyond, err := feed.After(t.Context(), first.Feed, 99, 10, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c"}, ids(beyond), "a follower that is ahead begins again")
		other, err := feed.After(t.Context(), "another", second.Position, 10, time.Hour)
		require.NoError(t, err)
		require.Len(t, other.Entries, 3, "and one of another feed, without waiting")
		gone, err := feed.Revoked(&auth.Principal{Subject: "usr_1", SessionID: "c"})
		require.NoError(t, err)
		require.True(t, gone)
	})
}

func TestFeed_endsNothingWithATransactionThatIsRolledBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, feed *revocation.Feed, _ func() (*store.DB, *revocation.Feed)) {
		err := db.Write(t.Context(), func(_ context.Context, tx *store.Tx) error {
			feed.Append(tx, ended.Session, "a", 0)
			return context.Canceled
		})
		require.ErrorIs(t, err, context.Canceled)
		page, err := feed.After(t.Context(), "", 0, 10, 0)
		require.NoError(t, err)
		require.Empty(t, page.Entries)
		require.Zero(t, feed.Entries())
	})
}

// If the transaction that took its rows first commits last, a follower that read between the commits misses neither entry. A position from a sequence would be
// taken at the first statement, and be skipped.
func TestFeed_missesNothingWhenTwoEndingsCommitInReverseOrder(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, feed *revocation.Feed, more func() (*store.DB, *revocation.Feed)) {
		if db.Dialect() == store.SQLite {
			return // one writer at a time: there is no reverse order
		}
		otherDB, other := more()
		begun, finish, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			first <- db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				feed.Append(tx, ended.Session, "first to begin", 0)
				_, err := tx.Exec(ctx, "UPDATE settings SET value = value WHERE name = 'none'") // it is under way
				close(begun)
				<-finish
				return err
			})
		}()
		<-begun
		require.NoError(t, end(t.Context(), otherDB, other, "first to commit"))
		between, err := feed.After(t.Context(), "", 0, 10, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"first to commit"}, ids(between))
		close(finish)
		require.NoError(t, <-first)
		rest, err := feed.After(t.Context(), between.Feed, between.Position, 10, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"first to begin"}, ids(rest))
	})
}

func TestFeed_wakesWhoWaits(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, feed *revocation.Feed, _ func() (*store.DB, *revocation.Feed)) {
		empty, err := feed.After(t.Context(), "", 0, 10, 0)
		require.NoError(t, err)
		got := make(chan revocation.Page, 1)
		go func() {
			page, _ := feed.After(context.Background(), empty.Feed, empty.Position, 10, 20*time.Second)
			got <- page
		}()
		require.NoError(t, end(t.Context(), db, feed, "a"))
		select {
		case page := <-got:
			require.Equal(t, []string{"a"}, ids(page))
		case <-time.After(10 * time.Second):
			t.Fatal("nobody woke it")
		}
	})
}

func TestFeed_letsGoOfWhoWaitsWhenItCloses(t *testing.T) {
	each(t, func(t *testing.T, _ *store.DB, feed *revocation.Feed, _ func() (*store.DB, *revocation.Feed)) {
		empty, err := feed.After(t.Context(), "", 0, 10, 0)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		run, waited := make(chan error, 1), make(chan error, 1)
		go func() { run <- feed.Run(ctx, func() {}) }()
		go func() {
			_, err := feed.After(context.Background(), empty.Feed, empty.Position, 10, 20*time.Second)
			waited <- err
		}()
		stop()
		require.NoError(t, <-run)
		select {
		case err := <-waited:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("a restart would wait for it")
		}
	})
}

// away is a database that can't be read any more.
type away struct {
	kmsdb.Revocations
	gone atomic.Bool
}

func (a *away) Head(ctx context.Context, q store.Querier) (int64, error) {
	if a.gone.Load() {
		return 0, store.ErrUnavailable
	}
	return a.Revocations.Head(ctx, q)
}

func TestFeed_tellsEachTimeThatItCannotBeRead(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *revocation.Feed, _ func() (*store.DB, *revocation.Feed)) {
		rows := &away{}
		feed, err := revocation.Open(t.Context(), db, rows, clock.System, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		rows.gone.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		failed, run := make(chan struct{}), make(chan error, 1)
		go func() {
			run <- feed.Run(ctx, func() {
				select {
				case failed <- struct{}{}:
				case <-ctx.Done():
				}
			})
		}()
		<-failed
		<-failed
		stop()
		require.NoError(t, <-run)
	})
}
