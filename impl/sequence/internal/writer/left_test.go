package writer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// TestFinishOrders_goesByTheClockOfTheDatabase lets a replica whose clock is a day ahead look for silent orders at every step of one that is being made.
func TestFinishOrders_goesByTheClockOfTheDatabase(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		if db.Dialect() == database.SQLite {
			return // one process has it
		}
		w := newWriter(t, db, 0)
		key, err := seal.FromDataKey(dataKey)
		require.NoError(t, err)
		tomorrow := clock.NewFake(time.Now().Add(24 * time.Hour))
		ahead := writer.New(writer.Options{
			DB: open(t), Keys: idempotency.New(key, key, tomorrow), Clock: tomorrow, Log: slog.New(slog.DiscardHandler),
			Registerer: prometheus.NewRegistry(), Enqueue: searchsync.Enqueue, Committed: func(string) {},
		})
		defer ahead.Close()
		ids := many(450)
		_, err = w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		w.Between(func() { require.NoError(t, ahead.FinishOrders(context.Background())) })
		_, err = w.Do(t.Context(), backwards(ids))
		require.NoError(t, err)
		w.Settled()
		require.Equal(t, ids[449], first(t, db, 1)[0])
		requireNothingLeft(t, db)
	})
}

// TestFinishOrders_oneThatCanNotBeFinishedKeepsNoOtherWaiting makes the outbox of search refuse the elements of one scope.
func TestFinishOrders_oneThatCanNotBeFinishedKeepsNoOtherWaiting(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		refused := errors.New("refused")
		stuck := domain.Group{Scope: "a comes first", ElementType: "line"}
		refusing := false
		w := writerThat(t, db, 10*time.Second, func(_ context.Context, _ *database.Tx, touched []domain.Ref) error {
			if refusing && touched[0].Group == stuck {
				return refused
			}
			return nil
		})
		old := time.Now().Add(-time.Hour)
		for _, g := range []domain.Group{stuck, lines} {
			_, err := w.Do(t.Context(), create(g, "a", "b"))
			require.NoError(t, err)
			o := &store.Order{Group: g, ID: "dead"}
			change := &store.Change{Reorder: &domain.Reorder{Group: g, Order: []string{"b", "a"}, Actor: author}}
			require.NoError(t, store.New(db).Plan(t.Context(), change))
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
				return errors.Join(store.BeginOrder(ctx, tx, o, old), o.Stage(ctx, tx, old, change.Done.Numbers), o.Show(ctx, tx, old, old, change))
			}))
		}
		refusing = true
		err := w.FinishOrders(t.Context())
		require.ErrorIs(t, err, refused)
		require.ErrorContains(t, err, "a comes first/line")
		n, err := store.New(db).Orders(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.Equal(t, []string{"b", "a"}, first(t, db, 2))
		refusing = false
		require.NoError(t, w.FinishAllOrders(t.Context()))
		w.Settled()
		requireNothingLeft(t, db)
	})
}

// TestClose_leavesWhatIsNotSettledToTheNextStart stops a service while a long reorder is settled. Stopping takes a bounded time, and nothing is lost.
func TestClose_leavesWhatIsNotSettledToTheNextStart(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		ids := many(450)
		_, err := w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		w.Patience(0)
		steps := 0
		w.Between(func() {
			if steps++; steps == 8 { // of those that settle it
				<-w.GivenOver()
			}
		})
		_, err = w.Do(t.Context(), backwards(ids))
		require.NoError(t, err)
		w.Close()
		n, err := store.New(db).Orders(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		slices.Reverse(ids)
		require.Equal(t, ids, first(t, db, 450))
		next := newWriter(t, db, 0)
		require.NoError(t, next.FinishAllOrders(t.Context()))
		next.Settled()
		require.Equal(t, ids, first(t, db, 450))
		requireNothingLeft(t, db)
		requireFeedGivesOrder(t, db)
		requireWhole(t, db, lines, 450)
	})
}

// TestFinishAllOrders_endsWhatABackupWasMadeOf opens copies that were made before each transaction of a long reorder or move. Each copy has the old order or the new one, before and after finishing.
func TestFinishAllOrders_endsWhatABackupWasMadeOf(t *testing.T) {
	ids := many(450)
	for name, change := range longChanges(ids) {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), database.Config{Name: "test", Dir: t.TempDir(), Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			w := newWriter(t, db, 0)
			_, err = w.Do(t.Context(), create(lines, ids...))
			require.NoError(t, err)
			backups, copies := t.TempDir(), 0
			place := func(n int) string { return filepath.Join(backups, fmt.Sprint(n)) }
			w.Between(func() {
				copies++
				require.NoError(t, os.Mkdir(place(copies), 0o700))
				require.NoError(t, db.CopyTo(context.Background(), filepath.Join(place(copies), "test.db")))
			})
			_, err = w.Do(t.Context(), change.request)
			require.NoError(t, err)
			w.Settled()
			require.Equal(t, change.steps, copies)
			for n := 1; n <= copies; n++ {
				want := ids
				if n > change.shown {
					want = change.want
				}
				requireFinishes(t, place(n), want)
			}
		})
	}
}

// requireFinishes opens a copy, and requires an order both before and after what was left is finished.
func requireFinishes(t *testing.T, dir string, want []string) {
	restored, err := database.Open(t.Context(), database.Config{Name: "test", Dir: dir, Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.Equal(t, want, first(t, restored, 450), dir)
	again := newWriter(t, restored, 0)
	require.NoError(t, again.FinishAllOrders(t.Context()))
	again.Settled()
	require.Equal(t, want, first(t, restored, 450), dir)
	requireNothingLeft(t, restored)
	requireFeedGivesOrder(t, restored)
	requireWhole(t, restored, lines, 450)
	again.Close()
	require.NoError(t, restored.Close())
}

// leave lets a process end after it has shown a reorder of each group.
func leave(t *testing.T, db *database.DB, w *writer.Writer, groups []domain.Group) {
	old := time.Now().Add(-time.Hour)
	for _, g := range groups {
		_, err := w.Do(t.Context(), create(g, "a", "b"))
		require.NoError(t, err)
		o := &store.Order{Group: g, ID: "dead"}
		change := &store.Change{Reorder: &domain.Reorder{Group: g, Order: []string{"b", "a"}, Actor: author}}
		require.NoError(t, store.New(db).Plan(t.Context(), change))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			return errors.Join(store.BeginOrder(ctx, tx, o, old), o.Stage(ctx, tx, old, change.Done.Numbers), o.Show(ctx, tx, old, old, change))
		}))
	}
}

// TestFinishOrders_doesAllThatIsLeft leaves more orders than are read at once. One call finishes all of them, and a change that waits for the last one finishes only that one.
func TestFinishOrders_doesAllThatIsLeft(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		var groups []domain.Group
		w.Page(4)
		for n := range 9 { // two pages and more
			groups = append(groups, domain.Group{Scope: fmt.Sprintf("scope%03d", n), ElementType: "line"})
		}
		leave(t, db, w, groups)
		last := groups[len(groups)-1]
		_, err := w.Do(t.Context(), writer.Request{Move: &domain.Move{Ref: domain.Ref{Group: last, ID: "a"}, Before: "b", Actor: author}})
		require.NoError(t, err)
		n, err := store.New(db).Orders(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, len(groups)-1, n, "it waited for its own alone")
		require.NoError(t, w.FinishOrders(t.Context()))
		requireNothingLeft(t, db)
		for _, g := range groups[:len(groups)-1] {
			all, err := store.New(db).List(t.Context(), g, "", 0, 10)
			require.NoError(t, err)
			require.Equal(t, "b", all[0].ID)
		}
	})
}
