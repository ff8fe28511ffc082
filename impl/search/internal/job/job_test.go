package job_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// With two replicas on one database, the jobs of one collection are carried out one after the other, in order, and each part once.
func TestWorker_replicasKeepTheOrderOfOneCollection(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		first, second := newRows(t, open(t), clock.System), newRows(t, open(t), clock.System)
		c := makeCollection(t, first)
		const jobs, items = 6, 1200
		var ids []string
		for i := range jobs {
			ids = append(ids, send(t, []*searchstore.Store{first, second}[i%2], c, items, strconv.Itoa(i)).ID)
		}
		docs := newShelf()
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, rows := range []*searchstore.Store{first, second} {
			group.Go(func() { _ = newWorker(rows, docs).Run(ctx) })
		}
		for _, id := range ids {
			eventually(t, func() bool { return read(t, first, c, id).State == job.Done })
		}
		stop()
		group.Wait()
		require.Len(t, docs.writes, jobs*items, "no part was carried out twice")
		for i, id := range docs.writes {
			require.Equal(t, "d"+strconv.Itoa(i%items), id)
		}
		require.Equal(t, `{"text":"5"}`, docs.docs["d7"], "the later job counts")
		require.EqualValues(t, items, read(t, second, c, ids[0]).Succeeded)
	})
}

// A long job does not block those of other collections: after a turn it is due last.
func TestWorker_takesTurns(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		rows := newRows(t, open(t), clock.System)
		c := makeCollection(t, rows)
		sent := send(t, rows, c, 21*job.PartItems, "x")
		w := newWorker(rows, newShelf())
		_, err := w.Once(t.Context())
		require.NoError(t, err)
		now := read(t, rows, c, sent.ID)
		require.Equal(t, job.Running, now.State)
		require.EqualValues(t, 20*job.PartItems, now.Succeeded)
		worked, err := w.Once(t.Context())
		require.NoError(t, err)
		require.True(t, worked)
		require.Equal(t, job.Done, read(t, rows, c, sent.ID).State)
	})
}

// A job that was unfinished at a backup is not carried out after a restore, and reports that.
func TestEndJobs_carriesNothingOutAfterARestore(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		rows := newRows(t, db, clock.System)
		c := makeCollection(t, rows)
		done, waiting := send(t, rows, c, 1, "x"), send(t, rows, c, 1, "y")
		docs := newShelf()
		_, err := newWorker(rows, docs).Once(t.Context())
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return searchstore.EndJobs(ctx, tx, time.Now()) }))
		worked, err := newWorker(rows, docs).Once(t.Context())
		require.NoError(t, err)
		require.False(t, worked)
		require.Equal(t, job.Done, read(t, rows, c, done.ID).State)
		ended := read(t, rows, c, waiting.ID)
		require.Equal(t, job.Failed, ended.State)
		require.Equal(t, "state_conflict", ended.Failure)
		require.Len(t, docs.writes, 1)
	})
}

// Spools that start at the same time in two replicas do not exceed the limit.
func TestSpool_boundsWhatIsUnderWay(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		replicas := []*searchstore.Store{newRows(t, open(t), clock.System), newRows(t, open(t), clock.System)}
		c := makeCollection(t, replicas[0])
		var begun, full atomic.Int64
		var group sync.WaitGroup
		for i := range 3 * job.MaxUnderWay {
			group.Go(func() {
				_, err := job.NewSpool(context.Background(), replicas[i%2], &job.Job{Name: c.Name, Claimed: c.Claimed, Whose: "tenant:red"})
				switch {
				case err == nil:
					begun.Add(1)
				case errors.Is(err, job.ErrFull):
					full.Add(1)
				default:
					t.Errorf("begin job: %v", err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, job.MaxUnderWay, begun.Load())
		require.EqualValues(t, 2*job.MaxUnderWay, full.Load())
		_, err := job.NewSpool(t.Context(), replicas[0], &job.Job{Name: c.Name, Claimed: c.Claimed, Whose: "tenant:blue"})
		require.NoError(t, err, "another tenant's are counted apart")
	})
}

// The waiting bytes are limited, and are released when they have been carried out.
func TestSpool_boundsTheBytesThatWait(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		rows := newRows(t, db, clock.System)
		c := makeCollection(t, rows)
		waiting := send(t, rows, c, 3, "x")
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE jobs SET bytes = ? WHERE id = ?", job.MaxWhose-job.PartBytes, waiting.ID)
			return err
		}))
		s, err := job.NewSpool(t.Context(), rows, &job.Job{Name: c.Name, Claimed: c.Claimed, Whose: "tenant:red"})
		require.NoError(t, err)
		big := make([]byte, job.PartBytes)
		for i := range big {
			big[i] = '1'
		}
		require.NoError(t, s.Add(t.Context(), engine.Item{ID: "a", Document: big}))
		err = s.Accept(t.Context())
		require.ErrorIs(t, err, job.ErrFull)
		require.ErrorIs(t, s.Drop(t.Context(), err), job.ErrFull)
		require.Equal(t, 1, count(t, db, "jobs"))
		worked, err := newWorker(rows, newShelf()).Once(t.Context())
		require.NoError(t, err)
		require.True(t, worked)
		require.Zero(t, count(t, db, "job_parts"))
		var bytes int64
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &bytes, "SELECT bytes FROM jobs"))
		require.Zero(t, bytes)
	})
}

// A worker whose lease has expired records nothing in a job that another worker is carrying out.
func TestWorker_isFencedByItsLease(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		now := clock.NewFake(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
		rows := newRows(t, open(t), now)
		c := makeCollection(t, rows)
		sent := send(t, rows, c, 1200, "x")
		late := lease.Lease{Name: "late", Last: 30 * time.Second}
		old, err := rows.ClaimJob(t.Context(), late)
		require.NoError(t, err)
		none, err := rows.ClaimJob(t.Context(), lease.Lease{Name: "early", Last: time.Minute})
		require.NoError(t, err)
		require.Nil(t, none, "it is leased")
		now.Advance(time.Minute)
		docs := newShelf()
		worked, err := newWorker(rows, docs).Once(t.Context())
		require.NoError(t, err)
		require.True(t, worked)
		require.ErrorIs(t, rows.KeepJob(t.Context(), old, late), lease.ErrLost)
		require.ErrorIs(t, rows.CarriedOut(t.Context(), old, late, 500, nil), lease.ErrLost)
		require.ErrorIs(t, rows.FailJob(t.Context(), old, late), lease.ErrLost)
		require.NoError(t, rows.LeaveJob(t.Context(), old, late, time.Second))
		done := read(t, rows, c, sent.ID)
		require.Equal(t, job.Done, done.State)
		require.EqualValues(t, 1200, done.Succeeded)
		require.Len(t, docs.writes, 1200)
	})
}

// A job that is cancelled while a part of it is being written is not continued.
func TestCancelJob_endsAJobAtItsNextPart(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		rows := newRows(t, db, clock.System)
		c := makeCollection(t, rows)
		sent := send(t, rows, c, 1200, "x")
		docs := newShelf()
		docs.before = sync.OnceFunc(func() {
			_, err := rows.CancelJob(context.Background(), c, "blue", sent.ID, change)
			require.ErrorIs(t, err, job.ErrNone, "another tenant's is not there")
			_, err = rows.CancelJob(context.Background(), c, job.Every, sent.ID, change)
			require.NoError(t, err)
		})
		_, err := newWorker(rows, docs).Once(t.Context())
		require.NoError(t, err)
		require.Len(t, docs.writes, job.PartItems, "the part that was under way")
		ended := read(t, rows, c, sent.ID)
		require.Equal(t, job.Cancelled, ended.State)
		require.False(t, ended.Ended.IsZero())
		require.Zero(t, count(t, db, "job_parts"))
		_, err = rows.CancelJob(t.Context(), c, job.Every, sent.ID, change)
		require.ErrorIs(t, err, job.ErrPast)
	})
}

// Failures are recorded per item. With too many of them the job ends.
func TestWorker_givesUpAfterTooManyFailures(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		rows := newRows(t, db, clock.System)
		c := makeCollection(t, rows)
		sent := send(t, rows, c, job.MaxFailures+3*job.PartItems, "x")
		docs := newShelf()
		docs.fail = func(engine.Item) error { return problem.New(problem.ValidationFailed, "It does not fit.") }
		failed := 0
		w := newWorker(rows, docs)
		w.Failed = func() { failed++ }
		_, err := w.Once(t.Context())
		require.NoError(t, err)
		ended := read(t, rows, c, sent.ID)
		require.Equal(t, job.Failed, ended.State)
		require.Equal(t, "limit_reached", ended.Failure)
		require.EqualValues(t, job.MaxFailures, ended.Failed)
		require.Equal(t, job.MaxFailures, count(t, db, "job_failures"))
		require.Zero(t, count(t, db, "job_parts"))
		require.Equal(t, 1, failed)
		list, err := rows.JobFailures(t.Context(), sent.ID, 9998, 10)
		require.NoError(t, err)
		require.Equal(t, []job.Failure{
			{Item: 9999, ID: "d9998", Code: "validation_failed", Message: "It does not fit."}, {Item: 10000, ID: "d9999", Code: "validation_failed", Message: "It does not fit."},
		}, list)
	})
}

// A job waits up to an hour for an engine that can't be used. It does not wait after a refusal.
func TestWorker_waitsForTheEngineForAnHour(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		now := clock.NewFake(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
		rows := newRows(t, open(t), now)
		c := makeCollection(t, rows)
		sent, next := send(t, rows, c, 1, "x"), send(t, rows, c, 1, "y")
		docs := newShelf()
		docs.breakWith(errAway)
		w := newWorker(rows, docs)
		for waited := time.Duration(0); waited < 59*time.Minute; waited += time.Minute {
			worked, err := w.Once(t.Context())
			require.True(t, worked)
			require.ErrorIs(t, err, problem.EngineUnavailable)
			worked, err = w.Once(t.Context())
			require.NoError(t, err)
			require.False(t, worked, "it is left alone for a while, and the next one waits for it")
			now.Advance(time.Minute)
		}
		require.Equal(t, job.Running, read(t, rows, c, sent.ID).State)
		require.Equal(t, job.Queued, read(t, rows, c, next.ID).State)
		now.Advance(2 * time.Minute)
		_, err := w.Once(t.Context())
		require.NoError(t, err)
		ended := read(t, rows, c, sent.ID)
		require.Equal(t, job.Failed, ended.State)
		require.Equal(t, "engine_unavailable", ended.Failure)
		_, err = w.Once(t.Context())
		require.ErrorIs(t, err, problem.EngineUnavailable, "the next one has an hour of its own")
		docs.breakWith(problem.New(problem.NotFound, "There is no such collection."))
		now.Advance(2 * time.Minute)
		_, err = w.Once(t.Context())
		require.NoError(t, err)
		require.Equal(t, "not_found", read(t, rows, c, next.ID).Failure)
	})
}

// Expired jobs are deleted, with their parts and failures.
func TestSweep_removesWhatIsOver(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		now := clock.NewFake(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
		db := open(t)
		audited := newRows(t, db, now)
		c := makeCollection(t, audited)
		docs := newShelf()
		docs.fail = func(engine.Item) error { return problem.New(problem.ValidationFailed, "It does not fit.") }
		sent := send(t, audited, c, 2, "x")
		_, err := newWorker(audited, docs).Once(t.Context())
		require.NoError(t, err)
		s, err := job.NewSpool(t.Context(), audited, &job.Job{Name: c.Name, Claimed: c.Claimed, Whose: "tenant:red"})
		require.NoError(t, err)
		for range job.PartItems {
			require.NoError(t, s.Add(t.Context(), engine.Item{ID: "a"}))
		}
		sweep := func() { require.NoError(t, audited.SweepJobs(t.Context())) }
		sweep()
		require.Equal(t, 2, count(t, db, "jobs"))
		now.Advance(3 * time.Minute)
		sweep()
		require.Equal(t, 1, count(t, db, "jobs"), "whoever received it is gone")
		require.Zero(t, count(t, db, "job_parts"))
		require.ErrorIs(t, s.Accept(t.Context()), lease.ErrLost)
		require.Equal(t, 2, count(t, db, "job_failures"))
		now.Advance(job.Life)
		sweep()
		require.Zero(t, count(t, db, "jobs"), sent.ID)
		require.Zero(t, count(t, db, "job_failures"))

		waiting := send(t, audited, c, 2, "x")
		require.NoError(t, audited.Remove(t.Context(), c, change))
		sweep()
		require.Zero(t, count(t, db, "jobs"), "the collection of %s is gone", waiting.ID)
		require.Zero(t, count(t, db, "job_parts"))
	})
}
