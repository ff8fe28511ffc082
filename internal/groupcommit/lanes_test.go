package groupcommit_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// inLane has every request wait in one lane; apply runs only there.
func inLane(apply groupcommit.Apply[string, int64]) groupcommit.Apply[string, int64] {
	return func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
		if groupcommit.MayWait(ctx) > 0 {
			return apply(ctx, tx, names)
		}
		return slices.Repeat([]groupcommit.Result[int64]{{Lane: "lane"}}, len(names)), nil
	}
}

// Every request goes to one lane, in which a batch has one failing request.
func TestLane_failsOnlyTheGuilty(t *testing.T) {
	for _, guilty := range []string{"first", "panic", "orphan", "refused"} {
		t.Run(guilty, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
				db, g := open(t), newGate()
				var runs atomic.Int64
				c := start(t, db, groupcommit.Options{Wait: time.Minute}, inLane(func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
					runs.Add(1)
					return g.number(ctx, tx, names)
				}))
				errs := parkTogether(t, db, c, g, "a", "b", guilty, "c", "d")
				require.Error(t, errs[2])
				for i, name := range []string{"a", "b", "", "c", "d"} {
					if name != "" {
						require.NoError(t, errs[i], name)
						require.NotZero(t, stored(t, db, name))
					}
				}
				requireGapFree(t, db, 5)
				require.Zero(t, c.Parked())
				require.LessOrEqual(t, runs.Load(), int64(1+2*5), "none went round")
			})
		})
	}
}

// parkTogether sends "first" and, while it is held in its lane, the names. It returns the errors of the names.
func parkTogether(t *testing.T, db *store.DB, c *groupcommit.Committer[string, int64], g *gate, names ...string) []error {
	t.Helper()
	var group sync.WaitGroup
	group.Go(func() { mustDo(t, c, "first") })
	<-g.entered
	errs := make([]error, len(names))
	for i, name := range names {
		group.Go(func() { _, errs[i] = c.Do(context.Background(), name) })
	}
	waiting := func() int { return c.Parked() - 1 }
	if db.Dialect() == store.SQLite { // one writer: the requests wait for the lane's transaction, and then share a batch
		waiting = c.Waiting
	}
	for waiting() < len(names)-1 { // on SQLite one request may already have been taken to begin a batch
		runtime.Gosched()
	}
	close(g.release)
	group.Wait()
	return errs
}

// A transaction waits for one row after another, or right before its commit.
func TestLane_waitsNoLongerThanSaid(t *testing.T) {
	for _, before := range []string{"the work", "the commit"} {
		t.Run(before, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
				db := open(t)
				c := start(t, db, groupcommit.Options{Wait: 20 * time.Millisecond, Timeout: time.Hour}, inLane(
					func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
						wait := func(ctx context.Context) error {
							<-ctx.Done()
							return ctx.Err()
						}
						if before == "the work" {
							return nil, wait(ctx)
						}
						tx.AtEnd(store.LastAudit, wait)
						return number(ctx, tx, names)
					}))
				_, err := c.Do(t.Context(), "a") // returns, or the test hangs
				require.ErrorIs(t, err, store.ErrUnavailable)
				require.NotErrorIs(t, err, context.Canceled, "it is known that nothing was committed")
				requireGapFree(t, db, 0)
				require.Zero(t, c.Parked())
			})
		})
	}
}

func TestLane_refusesALaneInALane(t *testing.T) {
	db := openSQLite(t)
	c := start(t, db, groupcommit.Options{}, inLane(func(context.Context, *store.Tx, []string) ([]groupcommit.Result[int64], error) {
		return []groupcommit.Result[int64]{{Lane: "another"}}, nil
	}))
	_, err := c.Do(t.Context(), "a")
	require.ErrorContains(t, err, "named a lane in a lane")
}

// A shared transaction waits in vain for a row of one request. It was rolled back, so all its requests continue in lanes.
func TestDo_parksABatchThatMeetsAHeldRow(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, g := open(t), newGate()
		c := start(t, db, groupcommit.Options{Wait: time.Minute}, func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
			if groupcommit.MayWait(ctx) == 0 && slices.Contains(names, "held") {
				results := make([]groupcommit.Result[int64], len(names))
				for i, name := range names {
					results[i].Lane = "lane of " + name
				}
				return results, errors.Join(store.ErrUnavailable, store.ErrHeld)
			}
			if slices.Contains(names, "first") {
				return g.number(ctx, tx, names)
			}
			return number(ctx, tx, names)
		})
		for i, err := range g.together(t, c, "a", "held", "b") {
			require.NoError(t, err, i)
		}
		require.Zero(t, c.Parked())
		requireGapFree(t, db, 4)
	})
}

// A batch fails for another reason. Requests that are then tried one by one can also be moved to lanes.
func TestDo_parksOneThatMeetsAHeldRowByItself(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, g := open(t), newGate()
		c := start(t, db, groupcommit.Options{Wait: time.Minute}, func(ctx context.Context, tx *store.Tx, names []string) ([]groupcommit.Result[int64], error) {
			switch {
			case slices.Contains(names, "first"):
				return g.number(ctx, tx, names)
			case slices.Contains(names, "guilty"):
				return nil, errors.New("one of these is guilty")
			case groupcommit.MayWait(ctx) == 0 && slices.Contains(names, "held"):
				return []groupcommit.Result[int64]{{Lane: "lane"}}, errors.Join(store.ErrUnavailable, store.ErrHeld)
			}
			return number(ctx, tx, names)
		})
		errs := g.together(t, c, "a", "guilty", "held")
		require.ErrorContains(t, errs[1], "guilty")
		require.NoError(t, errs[0])
		require.NoError(t, errs[2])
		require.Zero(t, c.Parked())
		requireGapFree(t, db, 3)
	})
}
