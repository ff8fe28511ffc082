package groupcommit_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var migrations = []fs.FS{fstest.MapFS{"00100_numbers.sql": {Data: []byte(`-- +goose Up
CREATE TABLE counter (id BIGINT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO counter (id, value) VALUES (1, 0);
CREATE TABLE numbers (
  n    BIGINT PRIMARY KEY,
  name TEXT   NOT NULL UNIQUE,
  owner BIGINT REFERENCES counter (id) DEFERRABLE INITIALLY DEFERRED -- checked at the commit
);
-- +goose Down
DROP TABLE numbers;
`)}}}

var errRefused = errors.New("refused")

// number gives each name the next number, with three statements for the whole batch. The name "refused" fails alone, "panic" panics, and "orphan"
// makes the commit fail.
func number(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
	results := make([]groupcommit.Result[int64], len(names))
	var accepted int64
	for i, name := range names {
		switch {
		case strings.HasPrefix(name, "refused"):
			results[i].Err = errRefused
		case strings.HasPrefix(name, "panic"):
			panic(name)
		default:
			accepted++
		}
	}
	if accepted == 0 {
		return results, nil
	}
	var last int64
	if err := tx.Get(ctx, &last, "UPDATE counter SET value = value + ? WHERE id = 1 RETURNING value", accepted); err != nil {
		return nil, err
	}
	next := last - accepted
	var rows []string
	var args []any
	for i, name := range names {
		if results[i].Err == nil {
			next++
			results[i].Value = next
			owner := 1
			if strings.HasPrefix(name, "orphan") {
				owner = 2
			}
			rows, args = append(rows, "(?, ?, ?)"), append(args, next, name, owner)
		}
	}
	_, err := tx.Exec(ctx, "INSERT INTO numbers (n, name, owner) VALUES "+strings.Join(rows, ", "), args...)
	return results, err
}

func start(t *testing.T, db *store.DB, o groupcommit.Options, apply groupcommit.Apply[string, int64]) *groupcommit.Committer[string, int64] {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	c := groupcommit.New(db, o, apply)
	t.Cleanup(c.Close)
	return c
}

// requireGapFree checks that exactly the numbers 1..want are stored.
func requireGapFree(t *testing.T, db *store.DB, want int64) {
	t.Helper()
	var got struct{ Count, Least, Most, Value int64 }
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &got, `SELECT COUNT(*) AS count, COALESCE(MIN(n), 1) AS least,
		COALESCE(MAX(n), 0) AS most, (SELECT value FROM counter) AS value FROM numbers`))
	require.Equal(t, want, got.Count)
	require.EqualValues(t, 1, got.Least)
	require.Equal(t, want, got.Most)
	require.Equal(t, want, got.Value)
}

func stored(t *testing.T, db *store.DB, name string) (n int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT n FROM numbers WHERE name = ?", name))
	return n
}

func TestDo_answersEverybodyWithTheirOwnResult(t *testing.T) {
	const callers, each = 64, 12
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		// Two replicas; on SQLite two committers on the one database.
		dbs := []*store.DB{open(t), open(t)}
		var committers []*groupcommit.Committer[string, int64]
		for _, db := range dbs {
			committers = append(committers, start(t, db, groupcommit.Options{}, number))
		}
		var refused atomic.Int64
		var group sync.WaitGroup
		for caller := range callers {
			group.Go(func() {
				for i := range each {
					name := strings.Repeat("x", caller+1) + string(rune('a'+i))
					if i%4 == 3 {
						name = "refused"
					}
					n, err := committers[caller%2].Do(context.Background(), name)
					switch {
					case name == "refused" && errors.Is(err, errRefused):
						refused.Add(1)
					case err != nil:
						t.Errorf("do: %v", err)
					default:
						// Acknowledged is committed: another connection sees it, under the number given.
						var got int64
						if err := dbs[1-caller%2].Read(context.Background()).Get(context.Background(), &got,
							"SELECT n FROM numbers WHERE name = ?", name); err != nil || got != n {
							t.Errorf("number %d of %s is stored as %d: %v", n, name, got, err)
						}
					}
				}
			})
		}
		group.Wait()
		require.EqualValues(t, callers*each/4, refused.Load())
		requireGapFree(t, dbs[0], callers*each*3/4)
	})
}

// gate holds the first batch in its open transaction, so that a test can fill the queue behind it.
type gate struct {
	once             sync.Once
	entered, release chan struct{}
	batches          [][]string // every batch that was applied, including later tries
}

func newGate() *gate { return &gate{entered: make(chan struct{}), release: make(chan struct{})} }

func (g *gate) number(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
	g.batches = append(g.batches, names)
	g.once.Do(func() {
		close(g.entered)
		<-g.release
	})
	return number(ctx, tx, names)
}

// together sends "first" and, while its commit is held, the names, so that they share the next batch. It returns the errors of the names.
func (g *gate) together(t *testing.T, c *groupcommit.Committer[string, int64], names ...string) []error {
	t.Helper()
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := c.Do(context.Background(), "first"); err != nil {
			t.Errorf("first: %v", err)
		}
	})
	<-g.entered
	errs := make([]error, len(names))
	for i, name := range names {
		group.Go(func() { _, errs[i] = c.Do(context.Background(), name) })
	}
	for c.Waiting() < len(names) {
		runtime.Gosched()
	}
	close(g.release)
	group.Wait()
	return errs
}

func TestDo_failsOnlyTheGuilty(t *testing.T) {
	// first: the name is taken already. panic: in apply. orphan: the commit itself fails. refused: by its own Result.
	for _, guilty := range []string{"first", "panic", "orphan", "refused"} {
		t.Run(guilty, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
				db, g := open(t), newGate()
				c := start(t, db, groupcommit.Options{}, g.number)
				errs := g.together(t, c, "a", "b", guilty, "c", "d")
				require.Error(t, errs[2])
				for i, name := range []string{"a", "b", "", "c", "d"} {
					if name != "" {
						require.NoError(t, errs[i], name)
						require.NotZero(t, stored(t, db, name))
					}
				}
				requireGapFree(t, db, 5)
				require.Len(t, g.batches[1], 5, "they shared a batch")
				if guilty == "refused" {
					require.Len(t, g.batches, 2, "and needed no other")
				} else {
					require.Len(t, g.batches, 7, "and were then tried one by one")
				}
			})
		})
	}
}

func TestDo_refusesAtAFullQueue(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, g := open(t), newGate()
		c := start(t, db, groupcommit.Options{Queue: 3}, func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
			return g.number(ctx, tx, names)
		})
		var group sync.WaitGroup
		group.Go(func() {
			_, err := c.Do(context.Background(), "first")
			if err != nil {
				t.Errorf("first: %v", err)
			}
		})
		<-g.entered
		for _, name := range []string{"a", "b", "c"} {
			group.Go(func() {
				if _, err := c.Do(context.Background(), name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		for c.Waiting() < 3 {
			runtime.Gosched()
		}
		_, err := c.Do(t.Context(), "d")
		require.ErrorIs(t, err, problem.Overloaded)
		require.NotEmpty(t, problem.From(err).Header.Get("Retry-After"))
		close(g.release)
		group.Wait()
		requireGapFree(t, db, 4)
		_, err = c.Do(t.Context(), "d")
		require.NoError(t, err)
	})
}

func TestDo_givenUpIsNeverApplied(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, g := open(t), newGate()
		c := start(t, db, groupcommit.Options{}, g.number)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, err := c.Do(ctx, "first") // already taken: the end of its context has no effect any more
			first <- err
		}()
		<-g.entered
		second := make(chan error)
		go func() {
			_, err := c.Do(ctx, "second")
			second <- err
		}()
		for c.Waiting() < 1 {
			runtime.Gosched()
		}
		cancel()
		require.ErrorIs(t, <-second, context.Canceled)
		close(g.release)
		require.NoError(t, <-first, "what was taken is answered with its outcome")
		_, err := c.Do(ctx, "third")
		require.ErrorIs(t, err, context.Canceled)
		c.Close()
		requireGapFree(t, db, 1)
	})
}

// heededContext reports when Done was called on it.
type heededContext struct {
	context.Context
	once   sync.Once
	heeded chan struct{}
}

func (c *heededContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.heeded) })
	return c.Context.Done()
}

// A caller that finds no other commits in its own goroutine. It can still give up as long as its transaction can't begin.
func TestDo_givenUpBeforeItsTransactionIsOpenIsNeverApplied(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		c.MaxConns = 1
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		committer := start(t, db, groupcommit.Options{}, number)
		holding, release := make(chan struct{}), make(chan struct{})
		held := make(chan error)
		go func() {
			held <- db.Write(t.Context(), func(context.Context, *store.Tx) error {
				close(holding)
				<-release
				return nil
			})
		}()
		<-holding
		ctx, cancel := context.WithCancel(t.Context())
		heeded := &heededContext{Context: ctx, heeded: make(chan struct{})}
		answer := make(chan error)
		go func() {
			_, err := committer.Do(heeded, "first")
			answer <- err
		}()
		<-heeded.heeded
		cancel()
		require.ErrorIs(t, <-answer, context.Canceled)
		close(release)
		require.NoError(t, <-held)
		mustDo(t, committer, "second")
		requireGapFree(t, db, 1)
	})
}

// A caller that commits for others, too, does not wait for them when each has to be tried alone.
func TestDo_isAnsweredBeforeTheOthersOfItsBatchAreTriedSingly(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		c.MaxConns = 1
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		answered := make(chan struct{})
		committer := start(t, db, groupcommit.Options{}, func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
			if len(names) > 1 {
				return nil, errRefused
			}
			if names[0] == "second" {
				<-answered
			}
			return number(ctx, tx, names)
		})
		holding, release := make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			err := db.Write(t.Context(), func(context.Context, *store.Tx) error {
				close(holding)
				<-release
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-holding
		heeded := &heededContext{Context: t.Context(), heeded: make(chan struct{})}
		first := make(chan error, 1)
		group.Go(func() {
			_, err := committer.Do(heeded, "first")
			first <- err
		})
		<-heeded.heeded
		group.Go(func() {
			if _, err := committer.Do(t.Context(), "second"); err != nil {
				t.Error(err)
			}
		})
		require.Eventually(t, func() bool { return committer.Waiting() == 1 }, time.Minute, time.Millisecond)
		close(release)
		select {
		case err := <-first:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			t.Error("it waits for the second")
		}
		close(answered)
		group.Wait()
		requireGapFree(t, db, 2)
	})
}

func TestDo_insideAWriteFailsInsteadOfHanging(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		c := start(t, db, groupcommit.Options{}, number)
		err := db.Write(t.Context(), func(ctx context.Context, _ *store.Tx) error {
			_, err := c.Do(ctx, "a")
			return err
		})
		require.ErrorIs(t, err, store.ErrNested)
	})
}

func TestDo_triesNothingTwiceWhenTheDatabaseIsLost(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		runs := 0
		c := start(t, db, groupcommit.Options{}, func(context.Context, *store.Tx, []string) ([]groupcommit.Result[int64], error) {
			runs++
			return nil, store.ErrUnavailable
		})
		_, err := c.Do(t.Context(), "a")
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, 1, runs)
	})
}

// Several requests share a batch whose connection is lost. Each gets the error, and none is tried again.
func TestDo_triesNoBatchTwiceWhenTheDatabaseIsLost(t *testing.T) {
	for _, lost := range []error{store.ErrUnavailable, context.DeadlineExceeded} {
		t.Run(lost.Error(), func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
				g := newGate()
				c := start(t, open(t), groupcommit.Options{}, func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
					results, err := g.number(ctx, tx, names)
					if len(g.batches) > 1 {
						return nil, lost
					}
					return results, err
				})
				for _, err := range g.together(t, c, "a", "b", "c") {
					require.ErrorIs(t, err, lost)
				}
				require.Len(t, g.batches, 2)
			})
		})
	}
}

// apply reports that another transaction holds the row that "held" needs.
func TestDo_triesWhatIsHeldInItsLane(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		var patient atomic.Int64
		c := start(t, db, groupcommit.Options{Wait: time.Minute}, func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
			if groupcommit.MayWait(ctx) > 0 {
				if patient.Add(1) == 1 {
					return nil, errors.Join(store.ErrUnavailable, store.ErrHeld) // it has time left and is tried again
				}
				return number(ctx, tx, names)
			}
			var now []string
			for _, name := range names {
				if !strings.HasPrefix(name, "held") {
					now = append(now, name)
				}
			}
			numbered, err := number(ctx, tx, now)
			results := make([]groupcommit.Result[int64], len(names))
			for i, name := range names {
				if strings.HasPrefix(name, "held") {
					results[i].Lane = "lane"
				} else if err == nil {
					results[i], numbered = numbered[0], numbered[1:]
				}
			}
			return results, err
		})
		for _, name := range []string{"a", "held", "b"} {
			n, err := c.Do(t.Context(), name)
			require.NoError(t, err)
			require.Equal(t, stored(t, db, name), n)
		}
		require.EqualValues(t, 2, patient.Load())
		require.Zero(t, c.Parked())
		requireGapFree(t, db, 3)
	})
}

func TestDo_reportsAMiscountedBatch(t *testing.T) {
	db := openSQLite(t)
	c := start(t, db, groupcommit.Options{}, func(context.Context, *store.Tx, []string) ([]groupcommit.Result[int64], error) {
		return nil, nil
	})
	_, err := c.Do(t.Context(), "a")
	require.ErrorContains(t, err, "0 results for 1 requests")
}

func TestClose_drainsAndThenRefuses(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, g := open(t), newGate()
		c := start(t, db, groupcommit.Options{MaxBatch: 2}, g.number)
		var group sync.WaitGroup
		group.Go(func() { mustDo(t, c, "first") })
		<-g.entered
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			group.Go(func() { mustDo(t, c, name) })
		}
		for c.Waiting() < 5 {
			runtime.Gosched()
		}
		group.Go(c.Close)
		close(g.release)
		group.Wait()
		requireGapFree(t, db, 6)
		_, err := c.Do(t.Context(), "late")
		require.ErrorIs(t, err, problem.Unavailable)
		c.Close() // a second call has no effect
	})
}

func mustDo(t *testing.T, c *groupcommit.Committer[string, int64], name string) {
	if _, err := c.Do(context.Background(), name); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func openSQLite(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
