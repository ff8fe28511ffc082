package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/etag"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var (
	lines  = domain.Group{Scope: "hamlet", ElementType: "spokenWord"}
	author = domain.Actor{Subject: "usr_author", Kind: "user", RequestID: "req"}
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

func each(t *testing.T, f func(t *testing.T, open func(t *testing.T) *database.DB)) {
	storetest.Each(t, []fs.FS{store.Migrations}, f)
}

// applyIn makes the changes in a transaction.
func applyIn(ctx context.Context, tx *database.Tx, at time.Time, changes []*store.Change) error {
	if err := store.Apply(ctx, tx, at, changes); err != nil {
		return err
	}
	return store.Record(ctx, tx, at, changes)
}

// apply makes the changes in one commit.
func apply(t require.TestingT, db *database.DB, changes ...*store.Change) {
	err := db.Write(context.Background(), func(ctx context.Context, tx *database.Tx) error {
		var groups []domain.Group
		for _, c := range changes {
			groups = append(groups, c.Group())
		}
		held, err := store.Lock(ctx, tx, groups, time.Minute)
		require.NoError(t, err)
		require.Empty(t, held)
		return applyIn(ctx, tx, noon, changes)
	})
	require.NoError(t, err)
}

func create(g domain.Group, ids ...string) *store.Change {
	c := &domain.Create{Group: g, Actor: author}
	for _, id := range ids {
		c.Drafts = append(c.Drafts, domain.Draft{ID: id, Data: []byte(`{"text": "` + id + `"}`)})
	}
	return &store.Change{Create: c}
}

func revise(g domain.Group, id string, expected int64, data string) *store.Change {
	return &store.Change{Revise: &domain.Revise{Ref: domain.Ref{Group: g, ID: id}, Expected: etag.Exactly(expected), Data: []byte(data), Actor: author}}
}

func restore(g domain.Group, id string) *store.Change {
	return &store.Change{Restate: &domain.Restate{Ref: domain.Ref{Group: g, ID: id}, Status: domain.Active, Actor: author}}
}

func omit(g domain.Group, id string) *store.Change {
	return &store.Change{Restate: &domain.Restate{Ref: domain.Ref{Group: g, ID: id}, Status: domain.Omitted, Actor: author}}
}

func reorder(g domain.Group, ids ...string) *store.Change {
	return &store.Change{Reorder: &domain.Reorder{Group: g, Order: ids, Actor: author}}
}

// numbered renders a group as "1:a 2:b ...".
func numbered(t require.TestingT, s *store.Store, g domain.Group) (out []string) {
	elements, err := s.List(context.Background(), g, "", 0, 100_000)
	require.NoError(t, err)
	for _, e := range elements {
		out = append(out, fmt.Sprintf("%d:%s", e.Number, e.ID))
	}
	return out
}

func TestApply_numbersEachGroupFromOneWithoutAGap(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		scenes := domain.Group{Scope: "hamlet", ElementType: "section"}
		other := domain.Group{Scope: "macbeth", ElementType: "spokenWord"}
		first, second := create(lines, "a", "b"), create(lines, "c")
		apply(t, db, first, create(scenes, "a"), second, create(other, "z"))
		require.Len(t, first.Done.Elements, 2)
		require.EqualValues(t, 3, second.Done.Elements[0].Number)
		apply(t, db, create(lines, "d"), create(scenes, "b"))
		require.Equal(t, []string{"1:a", "2:b", "3:c", "4:d"}, numbered(t, s, lines))
		require.Equal(t, []string{"1:a", "2:b"}, numbered(t, s, scenes))
		require.Equal(t, []string{"1:z"}, numbered(t, s, other))
	})
}

func TestApply_failsATakenIDAloneAndBurnsNoNumber(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a"))
		taken, twice, batch := create(lines, "a"), create(lines, "b"), create(lines, "c", "a", "b")
		apply(t, db, taken, create(lines, "b"), twice, batch, create(lines, "d"))
		var exists *domain.Exists
		require.ErrorAs(t, taken.Err, &exists)
		require.ErrorAs(t, twice.Err, &exists, "taken by an earlier request of the same commit")
		require.ErrorAs(t, batch.Err, &exists)
		require.Equal(t, []int{1, 2}, exists.Indexes)
		require.Equal(t, []string{"1:a", "2:b", "3:d"}, numbered(t, s, lines))
	})
}

func TestApply_refusesWhenNoNumberIsLeft(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		apply(t, db, create(lines, "a"))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE counters SET last = ?", int64(domain.MaxNumber-2))
			return err
		}))
		try := func(c *store.Change) error {
			return db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
				return applyIn(ctx, tx, noon, []*store.Change{c})
			})
		}
		require.ErrorIs(t, try(create(lines, "b", "c", "d")), domain.ErrExhausted)
		fits := create(lines, "b", "c")
		require.NoError(t, try(fits))
		require.EqualValues(t, domain.MaxNumber, fits.Done.Elements[1].Number)
		require.ErrorIs(t, try(create(lines, "d")), domain.ErrExhausted)
	})
}

// TestApply_seesAnIDThatAnotherReplicaTakesMeanwhile stops one replica between its check of the ids and its lock.
func TestApply_seesAnIDThatAnotherReplicaTakesMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		if db.Dialect() == database.SQLite {
			return // one writer: nobody comes between
		}
		apply(t, db, create(lines, "a"))
		locked, waiting := make(chan struct{}), make(chan error, 1)
		err := db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			require.NoError(t, applyIn(ctx, tx, noon, []*store.Change{create(lines, "x")}))
			go func() {
				close(locked)
				waiting <- db.Write(context.Background(), func(ctx context.Context, tx *database.Tx) error {
					return applyIn(ctx, tx, noon, []*store.Change{create(lines, "b", "x", "c")})
				})
			}()
			<-locked
			began := time.Now()
			for blocked := 0; blocked == 0; { // until the other waits for our lock, its look behind it
				require.Less(t, time.Since(began), 30*time.Second)
				require.NoError(t, db.Read(t.Context()).Get(t.Context(), &blocked, "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))
			}
			return nil
		})
		require.NoError(t, err)
		var exists *domain.Exists
		require.ErrorAs(t, <-waiting, &exists)
		require.Equal(t, []int{1}, exists.Indexes)
		require.Equal(t, []string{"1:a", "2:x"}, numbered(t, store.New(db), lines), "its numbers came back")
	})
}

func TestApply_letsExactlyOneRevisionFollowAVersion(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a"), create(lines, "b"))
		won, lost, early := revise(lines, "a", 1, `{"n":2}`), revise(lines, "a", 1, `{"n":3}`), revise(lines, "b", 2, `{}`)
		missing := revise(lines, "x", 1, `{}`)
		apply(t, db, won, lost, early, missing)
		require.NoError(t, won.Err)
		require.EqualValues(t, 2, won.Done.Elements[0].Version)
		var stale *domain.Stale
		require.ErrorAs(t, lost.Err, &stale)
		require.Equal(t, domain.Stale{Version: 2, Number: 1, Status: domain.Active}, *stale)
		require.ErrorAs(t, early.Err, &stale)
		require.EqualValues(t, 1, stale.Version)
		require.ErrorIs(t, missing.Err, domain.ErrUnknownElement)
		require.Empty(t, lost.Done.Touched)

		ref := domain.Ref{Group: lines, ID: "a"}
		versions, err := s.Versions(t.Context(), ref, 0, 10)
		require.NoError(t, err)
		require.Len(t, versions, 2)
		require.Equal(t, `{"text": "a"}`, string(versions[0].Data), "byte for byte, and unchanged by the revision")
		require.Equal(t, `{"n":2}`, string(versions[1].Data))
		require.Equal(t, "usr_author", versions[1].CreatedBy)
		_, err = s.Version(t.Context(), ref, 3)
		require.ErrorIs(t, err, domain.ErrUnknownVersion)
		_, err = s.Version(t.Context(), domain.Ref{Group: lines, ID: "x"}, 1)
		require.ErrorIs(t, err, domain.ErrUnknownElement)
	})
}

func TestApply_omitKeepsTheNumberAndMayBeRepeated(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a", "b"))
		once, again := omit(lines, "a"), omit(lines, "a")
		apply(t, db, once, again, omit(lines, "b"))
		require.Equal(t, domain.Omitted, once.Done.Elements[0].Status)
		require.Len(t, once.Done.Touched, 1)
		require.Empty(t, again.Done.Touched)
		repeated, missing := omit(lines, "a"), omit(lines, "x")
		apply(t, db, repeated, missing)
		require.NoError(t, repeated.Err)
		require.Empty(t, repeated.Done.Touched)
		require.ErrorIs(t, missing.Err, domain.ErrUnknownElement)
		apply(t, db, create(lines, "c"))
		require.Equal(t, []string{"1:a", "2:b", "3:c"}, numbered(t, s, lines))
		for status, want := range map[domain.Status]int{domain.Active: 1, domain.Omitted: 2, "": 3} {
			elements, err := s.List(t.Context(), lines, status, 0, 10)
			require.NoError(t, err)
			require.Len(t, elements, want, status)
		}
	})
}

func TestApply_reorderSharesOutTheNumbersHeld(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a", "b", "c", "d", "e"), create(domain.Group{Scope: "hamlet", ElementType: "section"}, "f"))
		c := reorder(lines, "e", "c", "b")
		apply(t, db, c)
		require.NoError(t, c.Err)
		require.Equal(t, []domain.NumberChange{{ID: "e", From: 5, To: 2}, {ID: "b", From: 2, To: 5}}, c.Done.Numbers)
		require.Equal(t, []string{"1:a", "2:e", "3:c", "4:d", "5:b"}, numbered(t, s, lines))

		foreign := reorder(lines, "a", "f", "x")
		apply(t, db, foreign, create(lines, "g"))
		var invalid *domain.InvalidItems
		require.ErrorAs(t, foreign.Err, &invalid)
		require.Len(t, invalid.Faults, 2)
		require.Equal(t, 1, invalid.Faults[0].Index)
		require.Equal(t, 2, invalid.Faults[1].Index)
		require.Equal(t, []string{"1:a", "2:e", "3:c", "4:d", "5:b", "6:g"}, numbered(t, s, lines))
	})
}

func TestApply_reordersTenThousand(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		var ids, backwards []string
		for i := range 10_000 {
			ids = append(ids, fmt.Sprintf("e%d", i))
			backwards = append(backwards, fmt.Sprintf("e%d", 9_999-i))
		}
		apply(t, db, create(lines, ids...))
		short := reorder(lines, backwards...)
		apply(t, db, short)
		require.ErrorIs(t, short.Err, store.ErrLongOrder, "not in one transaction")
		o := beginOrder(t, db, lines)
		for _, step := range o.steps(t, db, reorder(lines, backwards...)) {
			step(db)
		}
		all := numbered(t, s, lines)
		require.Len(t, all, 10_000)
		require.Equal(t, "1:e9999", all[0])
		require.Equal(t, "10000:e0", all[9_999])
	})
}

func TestList_tellsAnUnknownScopeFromAnEmptyType(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a"), reorder(domain.Group{Scope: "lear", ElementType: "action"}, "a", "b"))
		none, err := s.List(t.Context(), domain.Group{Scope: "hamlet", ElementType: "action"}, "", 0, 10)
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = s.List(t.Context(), domain.Group{Scope: "lear", ElementType: "action"}, "", 0, 10)
		require.ErrorIs(t, err, domain.ErrUnknownScope, "a refused change begins no scope")
		require.ErrorIs(t, s.Known(t.Context(), "Hamlet"), domain.ErrUnknownScope, "scopes are compared by byte")
		_, err = s.Get(t.Context(), domain.Ref{Group: lines, ID: "A"})
		require.ErrorIs(t, err, domain.ErrUnknownElement)
	})
}

func TestAfter_walksEverythingOnce(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "b", "a", "Z", "é"), create(domain.Group{Scope: "Lear", ElementType: "action"}, "q"))
		var walked []string
		var at domain.Ref
		for {
			refs, err := s.After(t.Context(), at, 2)
			require.NoError(t, err)
			if len(refs) == 0 {
				break
			}
			for _, r := range refs {
				walked = append(walked, r.Scope+"/"+r.ID)
			}
			at = refs[len(refs)-1]
		}
		require.Equal(t, []string{"Lear/q", "hamlet/Z", "hamlet/a", "hamlet/b", "hamlet/é"}, walked)
	})
}

func TestAddress_keepsWhatIsThere(t *testing.T) {
	require.Empty(t, store.Address(""))
	require.Equal(t, "postgres://u:p%40ss@h:5432/db?plan_cache_mode=force_custom_plan&sslmode=disable", store.Address("postgres://u:p%40ss@h:5432/db?sslmode=disable"))
	require.Equal(t, "postgres://h/db?plan_cache_mode=auto", store.Address("postgres://h/db?plan_cache_mode=auto"))
	require.Equal(t, "postgres://h:port/db", store.Address("postgres://h:port/db"))
}

// TestLockFeeds_passesOverWhatIsHeld lets another transaction hold the feed of one scope, and the name of another scope that has no feed yet.
func TestLockFeeds_passesOverWhatIsHeld(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db, other := open(t), open(t)
		if db.Dialect() == database.SQLite { // one writer
			return
		}
		scopes := []string{"free", lines.Scope, "new"}
		apply(t, db, create(lines, "a"))
		apply(t, db, create(domain.Group{Scope: "free", ElementType: "line"}, "a"))
		lock := func(db *database.DB, scopes []string, then func()) (held []string) {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) (err error) {
				held, err = store.LockFeeds(ctx, tx, scopes, 0)
				then()
				return err
			}))
			return held
		}
		require.Empty(t, lock(other, scopes[1:], func() {
			require.ElementsMatch(t, scopes[1:], lock(db, scopes, func() {}), "without a wait, or the test hangs")
		}))
		require.Empty(t, lock(db, scopes, func() {}), "with its transaction the lock is gone")
	})
}
