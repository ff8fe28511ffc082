package writer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var lear = domain.Group{Scope: "lear", ElementType: "spokenWord"}

// impatient returns a writer whose changes wait for a moment only.
func impatient(t *testing.T, db *database.DB) *writer.Writer {
	return writerThat(t, db, 50*time.Millisecond, searchsync.Enqueue)
}

func writerThat(t *testing.T, db *database.DB, waits time.Duration, enqueue func(context.Context, *database.Tx, []domain.Ref) error) *writer.Writer {
	key, err := seal.FromDataKey(dataKey)
	require.NoError(t, err)
	audittest.Open(t, db)
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Enqueue: enqueue, Committed: func(string) {}, Wait: waits,
	})
	t.Cleanup(w.Close)
	return w
}

// hold keeps a group locked by another transaction until release is called. On SQLite it locks the whole database.
func hold(t *testing.T, db *database.DB, g domain.Group) (release func()) {
	locked, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.Write(context.Background(), func(ctx context.Context, tx *database.Tx) error {
			if _, err := tx.Exec(ctx, "UPDATE counters SET last = last WHERE scope = ? AND element_type = ?", g.Scope, g.ElementType); err != nil {
				return err
			}
			close(locked)
			<-done
			return nil
		})
	}()
	<-locked
	var once sync.Once
	release = func() { once.Do(func() { close(done); require.NoError(t, <-ended) }) }
	t.Cleanup(release)
	return release
}

// TestDo_waitsForNoGroupButItsOwn needs rows that are locked one by one: SQLite has one writer for all.
func TestDo_waitsForNoGroupButItsOwn(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		if db.Dialect() == database.SQLite {
			return
		}
		w := newWriter(t, db, 0)
		for _, g := range []domain.Group{lines, lear} {
			_, err := w.Do(t.Context(), create(g, "a", "b"))
			require.NoError(t, err)
		}
		release := hold(t, open(t), lines)
		var group sync.WaitGroup
		for n := range 8 { // of every kind
			r := []writer.Request{
				keyed(create(lines, ""), fmt.Sprint(n)), create(lines, ""),
				{Reorder: &domain.Reorder{Group: lines, Order: []string{"b", "a"}, Actor: author}},
				{Restate: &domain.Restate{Ref: domain.Ref{Group: lines, ID: "a"}, Status: domain.Omitted, Actor: author}},
			}[n%4]
			group.Go(func() {
				if _, err := w.Do(context.Background(), r); err != nil {
					t.Errorf("change of the locked group: %v", err)
				}
			})
		}
		for w.Parked() == 0 && !t.Failed() {
			runtime.Gosched()
		}
		for n := range 20 { // while the group is locked: they return, or the test hangs
			_, err := w.Do(t.Context(), create(lear, ""))
			require.NoError(t, err)
			_, err = w.Do(t.Context(), create(domain.Group{Scope: fmt.Sprintf("new%d", n), ElementType: "line"}, ""))
			require.NoError(t, err)
		}
		release()
		group.Wait()
		requireWhole(t, db, lines, 6)
		requireWhole(t, db, lear, 22)
	})
}

func TestDo_refusesWhenItsWaitIsOver(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := impatient(t, db)
		patient := newWriter(t, db, 0)
		_, err := patient.Do(t.Context(), create(lines, "a"))
		require.NoError(t, err)
		release := hold(t, db, lines)
		var group sync.WaitGroup
		for range 20 { // the first and those behind it: none is answered before its wait is over, all are before the lock is gone
			group.Go(func() {
				if _, err := w.Do(context.Background(), create(lines, "")); err == nil {
					t.Error("written under a lock")
				} else {
					require.ErrorIs(t, err, database.ErrUnavailable)
				}
			})
		}
		group.Wait()
		release()
		done, err := patient.Do(t.Context(), create(lines, ""))
		require.NoError(t, err)
		require.EqualValues(t, 2, done.Elements[0].Number, "what was refused was not written, and burnt no number")
		requireWhole(t, db, lines, 2)
	})
}

func TestDo_givesBackThePlacesOfLargeCreations(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		for range 17 { // one more than there are places
			_, err := w.Do(t.Context(), create(lines, make([]string, 65)...))
			require.NoError(t, err)
		}
		requireWhole(t, db, lines, 17*65)
	})
}

// holdFeed keeps the feed of a scope locked, as a peer that hangs before its commit does, until release is called. For a scope without a feed it inserts one without committing it.
func holdFeed(t *testing.T, db *database.DB, scope string) (release func()) {
	locked, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	giveUp := errors.New("given up")
	go func() {
		ended <- db.Write(context.Background(), func(ctx context.Context, tx *database.Tx) error {
			if _, err := store.LockFeeds(ctx, tx, []string{scope}, 0); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO feeds (scope, last) VALUES (?, 1) ON CONFLICT (scope) DO UPDATE SET last = feeds.last + 1`, scope); err != nil {
				return err
			}
			close(locked)
			<-done
			return giveUp
		})
	}()
	<-locked
	var once sync.Once
	release = func() { once.Do(func() { close(done); require.ErrorIs(t, <-ended, giveUp) }) }
	t.Cleanup(release)
	return release
}

// TestDo_waitsForNoFeedButItsOwn lets a peer hang while it holds the feed of a scope. Only changes to other types of the scope wait. If all changes waited as long as
// one of these may wait for a lock, they would be refused.
func TestDo_waitsForNoFeedButItsOwn(t *testing.T) {
	for name, known := range map[string]bool{"known scope": true, "new scope": false} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
				db := open(t)
				if db.Dialect() == database.SQLite {
					return
				}
				w := newWriter(t, db, 0)
				if known {
					_, err := w.Do(t.Context(), create(lines, "a"))
					require.NoError(t, err)
				}
				release := holdFeed(t, open(t), lines.Scope)
				section := domain.Group{Scope: lines.Scope, ElementType: "section"}
				var group sync.WaitGroup
				for range 8 {
					group.Go(func() {
						if _, err := w.Do(context.Background(), create(section, "")); err != nil {
							t.Errorf("change of the scope with the held feed: %v", err)
						}
					})
				}
				for w.Parked() == 0 && !t.Failed() {
					runtime.Gosched()
				}
				for n := range 20 { // they return while the feed is held, or the test hangs
					_, err := w.Do(t.Context(), create(lear, ""))
					require.NoError(t, err)
					_, err = w.Do(t.Context(), create(domain.Group{Scope: fmt.Sprintf("new%d", n), ElementType: "line"}, ""))
					require.NoError(t, err)
				}
				var waiting int
				require.NoError(t, db.Read(t.Context()).Get(t.Context(), &waiting, "SELECT COUNT(*) FROM elements WHERE scope = ? AND element_type = 'section'", lines.Scope))
				require.Zero(t, waiting)
				release()
				group.Wait()
				requireWhole(t, db, section, 8)
				requireWhole(t, db, lear, 20)
			})
		})
	}
}
