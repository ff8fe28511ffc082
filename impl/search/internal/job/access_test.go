package job_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// When a grant is deleted or lowered, the waiting jobs of its holder end. The part that is being written is the last one.
func TestWorker_writesNothingForWhomNothingIsGranted(t *testing.T) {
	revoke := func(rows *searchstore.Store, c *owner.Collection) error {
		return rows.DeleteGrant(context.Background(), c, press.Who, change)
	}
	lower := func(rows *searchstore.Store, c *owner.Collection) error {
		_, err := rows.PutGrant(context.Background(), c, press.Who, owner.Read, change)
		return err
	}
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		rows := newRows(t, open(t), clock.System)
		c := makeCollection(t, rows)
		for _, end := range []func(*searchstore.Store, *owner.Collection) error{revoke, lower} {
			_, err := rows.PutGrant(t.Context(), c, press.Who, owner.Write, change)
			require.NoError(t, err)
			sent := sendAs(t, rows, c, press, 1200, "x")
			docs := newShelf()
			docs.before = sync.OnceFunc(func() { require.NoError(t, end(rows, c)) })
			_, err = newWorker(rows, docs).Once(t.Context())
			require.NoError(t, err)
			require.Len(t, docs.writes, job.PartItems)
			ended := read(t, rows, c, sent.ID)
			require.Equal(t, job.Failed, ended.State)
			require.Equal(t, "forbidden", ended.Failure)
			require.EqualValues(t, job.PartItems, ended.Succeeded)
		}
		send(t, rows, c, 1, "x")
		docs := newShelf()
		_, err := newWorker(rows, docs).Once(t.Context())
		require.NoError(t, err)
		require.Len(t, docs.writes, 1, "an administrator needs no grant")
	})
}

// A later collection of the same name gets nothing that was sent to the earlier one, whoever sent it.
func TestWorker_writesNoLaterCollectionOfTheName(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		rows := newRows(t, db, clock.System)
		c := makeCollection(t, rows)
		send(t, rows, c, 1200, "x")
		require.NoError(t, rows.Remove(t.Context(), c, change))
		later := makeCollectionOf(t, rows, "service:svc_2")
		docs := newShelf()
		worked, err := newWorker(rows, docs).Once(t.Context())
		require.NoError(t, err)
		require.True(t, worked)
		require.Empty(t, docs.writes)
		none, err := rows.Jobs(t.Context(), later, job.Every, "", 10)
		require.NoError(t, err)
		require.Empty(t, none)
		var failure string
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &failure, "SELECT failure FROM jobs"))
		require.Equal(t, "not_found", failure)
	})
}

// While a part may still be in flight, even of a cancelled job, no collection of that name can be created.
func TestClaim_waitsForThePartThatIsOnItsWay(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		for _, cancelled := range []bool{false, true} {
			rows := newRows(t, open(t), clock.System)
			c := makeCollection(t, rows)
			sent := send(t, rows, c, 1, "x")
			another := &owner.Collection{Name: plays, Owner: "service:svc_2"}
			docs := newShelf()
			docs.before = func() {
				if cancelled {
					_, err := rows.CancelJob(context.Background(), c, job.Every, sent.ID, change)
					require.NoError(t, err)
				}
				require.NoError(t, rows.Remove(context.Background(), c, change))
				fresh, err := rows.Claim(context.Background(), another)
				require.ErrorIs(t, err, owner.ErrBusy)
				require.False(t, fresh)
			}
			_, err := newWorker(rows, docs).Once(t.Context())
			require.NoError(t, err)
			fresh, err := rows.Claim(t.Context(), another)
			require.NoError(t, err)
			require.True(t, fresh)
			require.NoError(t, rows.Release(t.Context(), another))
			require.NoError(t, rows.SweepJobs(t.Context()))
		}
	})
}

// However jobs end, they release all of their room.
func TestRoom_isFreeAfterEveryEnd(t *testing.T) {
	refuse := func(engine.Item) error { return problem.New(problem.ValidationFailed, "It does not fit.") }
	ends := map[string]func(t *testing.T, db *store.DB, rows *searchstore.Store, c *owner.Collection, now *clock.Fake){
		"done": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, _ *clock.Fake) {
			send(t, rows, c, 1200, "x")
			_, err := newWorker(rows, newShelf()).Once(t.Context())
			require.NoError(t, err)
		},
		"cancelled": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, _ *clock.Fake) {
			waiting, running := send(t, rows, c, 1200, "x"), send(t, rows, c, 1200, "x")
			for _, id := range []string{running.ID, waiting.ID} {
				_, err := rows.CancelJob(t.Context(), c, job.Every, id, change)
				require.NoError(t, err)
			}
		},
		"refused by the engine": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, _ *clock.Fake) {
			send(t, rows, c, 1200, "x")
			docs := newShelf()
			docs.breakWith(problem.New(problem.LimitReached, "The disk is full."))
			_, err := newWorker(rows, docs).Once(t.Context())
			require.NoError(t, err)
		},
		"too many failures": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, _ *clock.Fake) {
			send(t, rows, c, job.MaxFailures+job.PartItems, "x")
			docs := newShelf()
			docs.fail = refuse
			_, err := newWorker(rows, docs).Once(t.Context())
			require.NoError(t, err)
		},
		"dropped while it came": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, _ *clock.Fake) {
			broken := errors.New("the connection broke")
			require.ErrorIs(t, receiving(t, rows, c).Drop(t.Context(), broken), broken)
		},
		"killed while it came": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, now *clock.Fake) {
			receiving(t, rows, c)
			now.Advance(3 * time.Minute)
			require.NoError(t, rows.SweepJobs(t.Context()))
		},
		"collection gone": func(t *testing.T, _ *store.DB, rows *searchstore.Store, c *owner.Collection, _ *clock.Fake) {
			send(t, rows, c, 1200, "x")
			require.NoError(t, rows.Remove(t.Context(), c, change))
			require.NoError(t, rows.SweepJobs(t.Context()))
		},
		"restored": func(t *testing.T, db *store.DB, rows *searchstore.Store, c *owner.Collection, now *clock.Fake) {
			send(t, rows, c, 1200, "x")
			receiving(t, rows, c)
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return searchstore.EndJobs(ctx, tx, now.Now()) }))
		},
	}
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		now := clock.NewFake(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
		db := open(t)
		rows := newRows(t, db, now)
		for name, end := range ends {
			c := makeCollection(t, rows)
			end(t, db, rows, c, now)
			var bytes, underWay int64
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &bytes, "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM jobs"))
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &underWay, "SELECT COUNT(*) FROM jobs WHERE state IN ('receiving', 'queued', 'running')"))
			require.Zero(t, bytes, name)
			require.Zero(t, underWay, name)
			require.Zero(t, count(t, db, "job_parts"), name)
			if name != "collection gone" {
				require.NoError(t, rows.Remove(t.Context(), c, change))
			}
		}
	})
}

// receiving returns a job of which one part has arrived.
func receiving(t *testing.T, rows *searchstore.Store, c *owner.Collection) *job.Spool {
	t.Helper()
	s, err := job.NewSpool(t.Context(), rows, &job.Job{Name: c.Name, Claimed: c.Claimed, Sender: admin, Whose: "tenant:red", Reach: job.Every})
	require.NoError(t, err)
	for range job.PartItems {
		require.NoError(t, s.Add(t.Context(), engine.Item{ID: "a"}))
	}
	return s
}
