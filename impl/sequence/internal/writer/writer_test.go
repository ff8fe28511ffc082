package writer_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var (
	migrations = []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, store.Migrations}
	lines      = domain.Group{Scope: "hamlet", ElementType: "spokenWord"}
	author     = domain.Actor{Subject: "usr_author", Kind: audit.User, RequestID: "req"}
	dataKey    = []byte("0123456789abcdef0123456789abcdef") // all replicas have the same
)

// newWriter starts a writer, one replica of the service.
func newWriter(t testing.TB, db *database.DB, maxBatch int) *writer.Writer {
	key, err := seal.FromDataKey(dataKey)
	require.NoError(t, err)
	audittest.Open(t, db)
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Enqueue: searchsync.Enqueue, Committed: func(string) {}, MaxBatch: maxBatch,
	})
	t.Cleanup(w.Close)
	return w
}

// replicas returns two replicas on PostgreSQL, and the only one that SQLite can have.
func replicas(t *testing.T, open func(t *testing.T) *database.DB) []*writer.Writer {
	first := open(t)
	out := []*writer.Writer{newWriter(t, first, 0)}
	if first.Dialect() == database.PostgreSQL {
		out = append(out, newWriter(t, open(t), 0))
	}
	return out
}

func create(g domain.Group, drafts ...string) writer.Request {
	c := &domain.Create{Group: g, Actor: author}
	for _, name := range drafts {
		c.Drafts = append(c.Drafts, domain.Draft{ID: name, Data: []byte(`{"text":"words of an element"}`)})
	}
	c.Name(func() string { return id.New("elm") })
	return writer.Request{Create: c}
}

func keyed(r writer.Request, value string) writer.Request {
	r.Key = &idempotency.Key{Principal: author.Subject, Operation: "createElement", Value: value, Path: "/x", Body: []byte(value)}
	return r
}

// requireWhole checks that the group's numbers are exactly 1..n, that every element has all its versions, and that each is queued
// for the search service.
func requireWhole(t testing.TB, db *database.DB, g domain.Group, n int) {
	ctx := context.Background()
	elements, err := store.New(db).List(ctx, g, "", 0, n+10)
	require.NoError(t, err)
	require.Len(t, elements, n)
	for i, e := range elements {
		require.EqualValues(t, i+1, e.Number)
	}
	var missing int
	require.NoError(t, db.Read(ctx).Get(ctx, &missing, `SELECT COUNT(*) FROM elements e WHERE NOT EXISTS
		(SELECT 1 FROM outbox o WHERE o.topic = 'elements' AND o.key = e.scope || ':' || e.element_type || ':' || e.id)`))
	require.Zero(t, missing, "a change and its outbox row are one commit")
	require.NoError(t, db.Read(ctx).Get(ctx, &missing, `SELECT COUNT(*) FROM elements e WHERE e.version <>
		(SELECT COUNT(*) FROM versions v WHERE v.scope = e.scope AND v.element_type = e.element_type AND v.id = e.id)`))
	require.Zero(t, missing, "an element's versions are 1..k")
	require.NoError(t, db.Read(ctx).Get(ctx, &missing, `SELECT COUNT(*) FROM feeds f WHERE f.last <>
		(SELECT COUNT(*) FROM changes c WHERE c.scope = f.scope AND c.position BETWEEN 1 AND f.last)`))
	require.Zero(t, missing, "positions are 1..last")
	require.NoError(t, db.Read(ctx).Get(ctx, &missing, `SELECT COUNT(*) FROM versions v WHERE NOT EXISTS (SELECT 1 FROM changes c
		WHERE c.scope = v.scope AND c.element_type = v.element_type AND c.id = v.id AND c.version = v.version)`))
	require.Zero(t, missing, "a version and its entry in the feed are one commit")
	_, firstBreak, err := audit.Verify(ctx, db.Read(ctx))
	require.NoError(t, err)
	require.Zero(t, firstBreak)
}

func TestDo_numbers200WritersExactlyOneToN(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		writers := replicas(t, open)
		sections := domain.Group{Scope: "hamlet", ElementType: "section"}
		var group sync.WaitGroup
		var mu sync.Mutex
		var numbers []int64
		for n := range 200 {
			group.Go(func() {
				w := writers[n%len(writers)]
				for range 3 {
					done, err := w.Do(context.Background(), create(lines, ""))
					if err != nil {
						t.Errorf("append: %v", err)
						return
					}
					mu.Lock()
					numbers = append(numbers, done.Elements[0].Number)
					mu.Unlock()
				}
				// Batches of another type, some of which fail, and keyed appends, in the same commits.
				if _, err := w.Do(context.Background(), create(sections, "", fmt.Sprintf("s%d", n/2))); err == nil {
					return
				}
				if _, err := w.Do(context.Background(), keyed(create(sections, ""), fmt.Sprintf("key-%d", n))); err != nil {
					t.Errorf("keyed append: %v", err)
				}
			})
		}
		group.Wait()
		slices.Sort(numbers)
		for i, n := range numbers {
			require.EqualValues(t, i+1, n, "what was answered is 1..N")
		}
		db := open(t)
		requireWhole(t, db, lines, 600)
		requireWhole(t, db, sections, 300)
	})
}

func TestDo_oneOfManyRevisionsWins(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		writers := replicas(t, open)
		_, err := writers[0].Do(t.Context(), create(lines, "a"))
		require.NoError(t, err)
		const rounds = 5
		for version := range int64(rounds) {
			var group sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for n := range 20 {
				group.Go(func() {
					_, err := writers[n%len(writers)].Do(context.Background(), writer.Request{Revise: &domain.Revise{
						Ref: domain.Ref{Group: lines, ID: "a"}, Expected: etag.Exactly(version + 1), Data: []byte(`{}`), Actor: author,
					}})
					var stale *domain.Stale
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won++
					default:
						require.ErrorAs(t, err, &stale)
						require.Equal(t, version+2, stale.Version)
					}
				})
			}
			group.Wait()
			require.Equal(t, 1, won)
		}
		requireWhole(t, open(t), lines, 1)
	})
}

func TestDo_keepsOrderWhileManyReorderAndAppend(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		writers := replicas(t, open)
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		_, err := writers[0].Do(t.Context(), create(lines, names...))
		require.NoError(t, err)
		var group sync.WaitGroup
		for n := range 40 {
			group.Go(func() {
				w := writers[n%len(writers)]
				order := slices.Clone(names[n%4 : n%4+4])
				if n%3 == 0 {
					slices.Reverse(order)
				}
				if _, err := w.Do(context.Background(), writer.Request{Reorder: &domain.Reorder{Group: lines, Order: order, Actor: author}}); err != nil {
					t.Errorf("reorder: %v", err)
				}
				if _, err := w.Do(context.Background(), create(lines, "")); err != nil {
					t.Errorf("append: %v", err)
				}
				omit := writer.Request{Restate: &domain.Restate{Ref: domain.Ref{Group: lines, ID: names[n%len(names)]}, Status: domain.Omitted, Actor: author}}
				if _, err := w.Do(context.Background(), omit); err != nil {
					t.Errorf("omit: %v", err)
				}
			})
		}
		group.Wait()
		requireWhole(t, open(t), lines, 48)
	})
}

func TestDo_repeatsAKeyWithWhatItFirstBroughtAbout(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		writers := replicas(t, open)
		first, err := writers[0].Do(t.Context(), keyed(create(lines, "", "named", ""), "k"))
		require.NoError(t, err)
		_, err = writers[0].Do(t.Context(), writer.Request{Restate: &domain.Restate{Ref: first.Elements[1].Ref, Status: domain.Omitted, Actor: author}})
		require.NoError(t, err)
		again, err := writers[len(writers)-1].Do(t.Context(), keyed(create(lines, "", "named", ""), "k"))
		require.NoError(t, err)
		require.Equal(t, first.Elements, again.Elements, "as it was told first, not as it is now")
		require.Empty(t, again.Touched)
		_, err = writers[0].Do(t.Context(), keyed(create(lines, "named"), "k2"))
		require.ErrorAs(t, err, new(*domain.Exists))
		_, err = writers[0].Do(t.Context(), keyed(create(lines, "other"), "k2"))
		require.NoError(t, err, "a failure keeps no key")
		requireWhole(t, open(t), lines, 4)
	})
}

func TestDo_auditsOmissionsAndReorders(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		long := make([]string, 2000)
		for i := range long {
			long[i] = fmt.Sprintf("an-element-with-a-long-name-%d", i)
		}
		comment := "the ghost speaks first"
		for _, r := range []writer.Request{
			create(lines, long[:1000]...), create(lines, long[1000:]...),
			{Restate: &domain.Restate{Ref: domain.Ref{Group: lines, ID: long[7]}, Status: domain.Omitted, Actor: author}},
			{Restate: &domain.Restate{Ref: domain.Ref{Group: lines, ID: long[7]}, Status: domain.Omitted, Actor: author}},
			{Reorder: &domain.Reorder{Group: lines, Order: append(slices.Clone(long[1:]), long[0]), Comment: &comment, Actor: author}},
		} {
			_, err := w.Do(t.Context(), r)
			require.NoError(t, err)
		}
		events, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{})
		require.NoError(t, err)
		require.Len(t, events, 2, "a repeat is no event")
		require.Equal(t, "reorderElements", events[0].Action)
		require.Equal(t, "hamlet/spokenWord", events[0].Target)
		require.Equal(t, comment, events[0].Detail["comment"])
		require.Equal(t, "2000", events[0].Detail["changed"])
		require.Equal(t, "omitElement", events[1].Action)
		require.Equal(t, "hamlet/spokenWord/"+long[7], events[1].Target)
		require.Equal(t, author.Subject, events[1].Actor)
	})
}

func TestDo_recoversFromAFullDiskWithoutAGap(t *testing.T) {
	db, err := database.Open(t.Context(), database.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	w := newWriter(t, db, 0)
	_, err = w.Do(t.Context(), create(lines, ""))
	require.NoError(t, err)
	limit := func(pages int) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			var now int
			return tx.Get(ctx, &now, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		}))
	}
	limit(1) // SQLite takes the present size where less is asked for
	full := create(lines, "")
	full.Create.Drafts[0].Data = append(append([]byte(`{"text":"`), make([]byte, 60<<10)...), `"}`...)
	_, err = w.Do(t.Context(), keyed(full, "k"))
	require.ErrorIs(t, err, database.ErrUnavailable)
	limit(1_000_000)
	done, err := w.Do(t.Context(), keyed(full, "k"))
	require.NoError(t, err, "the key of what failed is free")
	require.EqualValues(t, 2, done.Elements[0].Number, "no number was burnt")
	requireWhole(t, db, lines, 2)
}
