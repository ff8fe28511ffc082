package reindex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// howMany returns the number of documents that are reindexed: 100,000 with FOUNTAIN_PROVE.
func howMany() int {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return 100_000
	}
	return 2000
}

// known holds the last acknowledged number of each document.
type known struct{ last sync.Map }

func (k *known) acked(id string, number int) { k.last.Store(id, number) }

// Two replicas write, read each other's writes, and search, while one of them reindexes and then rolls back. No search fails, nothing is
// lost, and no read returns an older value than an acknowledged one.
func TestWorker_replacesACollectionThatTwoReplicasUse(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		a, b := newRig(t, open(t), e), newRig(t, open(t), e)
		total := howMany()
		a.make(t, total)
		stopA, stopB := a.run(t), b.run(t)
		defer stopA()
		defer stopB()

		ctx, end := context.WithCancel(context.Background())
		var group sync.WaitGroup
		defer group.Wait() // before anything is closed
		defer end()
		var searches, reads, writes atomic.Int64
		var truth known
		for i, w := range []*rig{a, b} {
			other, prefix, of := []*rig{b, a}[i], fmt.Sprintf("w%d-", i), w.collection(t)
			// Each document has a single writer, which reads it through the other replica.
			group.Go(func() {
				load{prefix: prefix, each: 20, tried: func(string, int) {}, acked: func(id string, number int) {
					writes.Add(1)
					truth.acked(id, number)
					assert.Equal(t, number, other.number(inGoroutine{t}, id), id)
					reads.Add(1)
				}}.run(ctx, inGoroutine{t}, w, of)
			})
			group.Go(func() {
				for ctx.Err() == nil {
					c, err := w.rows.Collection(context.Background(), []owner.Name{plays}, func(*owner.Collection) bool { return true })
					if !assert.NoError(t, err) {
						return
					}
					found, err := w.engine.Search(context.Background(), map[string]any{"collection": c.Engine(), "q": "word", "query_by": "text"})
					if !assert.NoError(t, err) || !assert.GreaterOrEqual(t, found[0].OutOf, int64(total)) {
						return
					}
					searches.Add(1)
				}
			})
		}
		begun := a.start(t, time.Hour)
		done := a.await(t, begun.ID, reindex.Done)
		require.Equal(t, begun.Target, b.collection(t).Physical)
		require.GreaterOrEqual(t, done.Documents, int64(total))
		seen := writes.Load()
		require.Eventually(t, func() bool { return writes.Load() > seen+60 }, testWait, time.Millisecond)
		_, err := b.rows.Rollback(t.Context(), b.collection(t), begun.ID, change)
		require.NoError(t, err)
		b.worker.Wake()
		a.await(t, begun.ID, reindex.RolledBack)
		require.Equal(t, "plays", a.collection(t).Engine())
		seen = writes.Load()
		require.Eventually(t, func() bool { return writes.Load() > seen+30 }, testWait, time.Millisecond)
		second := b.start(t, time.Hour)
		b.await(t, second.ID, reindex.Done)
		end()
		group.Wait()
		truth.last.Range(func(id, number any) bool {
			require.Equal(t, number, a.number(t, id.(string)), id)
			return true
		})
		for i := 0; i < total; i += 97 {
			require.Zero(t, b.number(t, "d"+strconv.Itoa(i)))
		}
		t.Logf("%d documents, %d writes, %d reads, %d searches", total, writes.Load(), reads.Load(), searches.Load())
	})
}

// started returns a rig with a collection that is being reindexed, without a running worker.
func started(t *testing.T, open func(t *testing.T) *store.DB, n int) (*rig, *reindex.Reindex) {
	e, closeEngine := localEngine(t, t.TempDir())
	t.Cleanup(closeEngine)
	r := newRig(t, open(t), e)
	r.make(t, n)
	return r, r.start(t, time.Hour)
}

func TestWorker_oneReindexOfACollectionIsUnderWay(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 3)
		c := r.collection(t)
		again, err := r.schemas.Compare(t.Context(), c)
		require.NoError(t, err)
		_, err = r.schemas.Reindex(t.Context(), c, again, time.Hour, change)
		require.ErrorIs(t, err, reindex.ErrUnderWay)
		_, err = r.rows.SetWanted(t.Context(), c, "{}", again.Version, nil)
		require.ErrorIs(t, err, reindex.ErrUnderWay)
		_, err = r.rows.Rollback(t.Context(), c, begun.ID, change)
		require.ErrorIs(t, err, reindex.ErrPast)
		_, err = r.rows.Abort(t.Context(), c, "rix_none", change)
		require.ErrorIs(t, err, reindex.ErrNone)

		// Of two concurrent starts, one succeeds.
		aborted, err := r.rows.Abort(t.Context(), c, begun.ID, change)
		require.NoError(t, err)
		require.Equal(t, reindex.Aborted, aborted.State)
		_, err = r.rows.Abort(t.Context(), c, begun.ID, change)
		require.ErrorIs(t, err, reindex.ErrPast)
		other := newRig(t, open(t), r.engine)
		var group sync.WaitGroup
		var ok atomic.Int64
		for _, w := range []*rig{r, other, r, other} {
			group.Go(func() {
				plan, err := w.schemas.Compare(context.Background(), c)
				if err == nil {
					_, err = w.schemas.Reindex(context.Background(), c, plan, time.Hour, change)
				}
				if err == nil {
					ok.Add(1)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 1, ok.Load())
	})
}

func TestWorker_anAbortedReindexLeavesNothing(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 10)
		r.worker.Reached = func(of *reindex.Reindex, _ bool) {
			if of.State == reindex.Verifying { // between two steps of the worker
				_, err := r.rows.Abort(context.Background(), r.collection(inGoroutine{t}), of.ID, change)
				assert.NoError(t, err)
			}
		}
		r.run(t)
		r.await(t, begun.ID, reindex.Aborted)
		require.Eventually(t, func() bool {
			_, err := r.engine.Collection(context.Background(), begun.Target)
			return errors.Is(err, problem.NotFound)
		}, testWait, 10*time.Millisecond)
		require.Equal(t, "plays", r.collection(t).Engine())
		require.NoError(t, r.put(t.Context(), r.collection(t), engine.Item{ID: "d1", Document: document(8)}))
		require.Equal(t, 8, r.number(t, "d1"))
	})
}

// A document that the new schema refuses ends the reindex, and the collection stays unchanged.
func TestWorker_failsWhereADocumentDoesNotFit(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		r.make(t, 10)
		r.run(t)
		c := r.collection(t)
		plan, err := r.schemas.Plan(t.Context(), c, reindex.Schema{Fields: append(append([]engine.Field{}, before.Fields...), engine.Field{Name: "author", Type: "string"})})
		require.NoError(t, err)
		begun, err := r.schemas.Reindex(t.Context(), c, plan, time.Hour, change)
		require.NoError(t, err)
		failed := r.await(t, begun.ID, reindex.Failed)
		require.Equal(t, "validation_failed", failed.Failure)
		require.Contains(t, failed.Reason, "author")
		require.Equal(t, "plays", r.collection(t).Engine())
		require.NoError(t, r.put(t.Context(), c, engine.Item{ID: "d1", Document: document(8)}))
	})
}

// A document that the old schema refuses is not lost by a rollback: the rollback ends, and the reindex stays in state done.
func TestWorker_goesNotBackWhereADocumentWouldBeLost(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		r.make(t, 10)
		r.run(t)
		c := r.collection(t)
		plan, err := r.schemas.Plan(t.Context(), c, reindex.Schema{Fields: before.Fields[:1]}) // "number" may be missing
		require.NoError(t, err)
		begun, err := r.schemas.Reindex(t.Context(), c, plan, time.Hour, change)
		require.NoError(t, err)
		r.await(t, begun.ID, reindex.Done)
		require.NoError(t, r.put(t.Context(), c, engine.Item{ID: "new", Document: []byte(`{"text":"without"}`)}))
		_, err = r.rows.Rollback(t.Context(), c, begun.ID, change)
		require.NoError(t, err)
		r.worker.Wake()
		eventually(t, func() bool {
			now, err := r.rows.Reindex(t.Context(), c, begun.ID)
			require.NoError(t, err)
			return now.State == reindex.Done && now.Failure == "validation_failed" && now.Refused == 1
		})
		require.Equal(t, begun.Target, r.collection(t).Engine())
		require.NoError(t, r.writer.Remove(t.Context(), c, engine.Item{ID: "new"}))
		_, err = r.rows.Rollback(t.Context(), c, begun.ID, change)
		require.NoError(t, err)
		r.worker.Wake()
		r.await(t, begun.ID, reindex.RolledBack)
		wanted, err := r.rows.Wanted(t.Context(), r.collection(t))
		require.NoError(t, err)
		require.Equal(t, before, wanted.Schema, "the schema before is wanted again")
	})
}

// The old collection is dropped when its time has expired, and by the next reindex.
func TestWorker_dropsTheCollectionBefore(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 10)
		r.run(t)
		r.await(t, begun.ID, reindex.Done)
		exists := func(physical string) bool {
			_, err := r.engine.Collection(context.Background(), physical)
			return !errors.Is(err, problem.NotFound)
		}
		require.True(t, exists("plays"))
		c := r.collection(t)
		plan, err := r.schemas.Compare(t.Context(), c)
		require.NoError(t, err)
		require.Empty(t, plan.Changes)
		second, err := r.schemas.Reindex(t.Context(), c, plan, 0, change)
		require.NoError(t, err)
		r.await(t, second.ID, reindex.Done)
		require.Eventually(t, func() bool { return !exists("plays") && !exists(begun.Target) }, testWait, 10*time.Millisecond)
		_, err = r.rows.Rollback(t.Context(), c, second.ID, change)
		require.ErrorIs(t, err, reindex.ErrPast, "nothing is kept")
		require.Zero(t, r.number(t, "d3"))
		eventually(t, func() bool {
			wanted, err := r.rows.Wanted(t.Context(), c)
			require.NoError(t, err)
			return wanted.Reindex == ""
		})
	})
}

// Writes with an old mapping are waited for: a write that started earlier and ends late is not lost.
func TestWorker_waitsForWritesThatBeganBefore(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 10)
		slow := newRig(t, open(t), r.engine) // of another replica, which has told that one is under way since long
		_, err := r.rows.Beat(t.Context(), slow.replica.ID, func() time.Duration { return time.Hour })
		require.NoError(t, err)
		// The worker checks repeatedly whether the write has ended. The third check still finds it under way.
		asked := make(chan struct{}, 3)
		r.worker.Rows = &asking{Rows: r.rows, asked: asked}
		r.run(t)
		for range 3 {
			<-asked
		}
		now, err := r.rows.Reindex(t.Context(), r.collection(t), begun.ID)
		require.NoError(t, err)
		require.Equal(t, reindex.Created, now.State)
		require.NoError(t, r.engine.Put(t.Context(), "plays", engine.Item{ID: "late", Document: document(5)}), "without a note")
		slow.run(t)
		r.await(t, begun.ID, reindex.Done)
		require.Equal(t, 5, r.number(t, "late"))
	})
}

// asking reports each call of OldestWrite.
type asking struct {
	reindex.Rows
	asked chan struct{}
}

// OldestWrite implements reindex.Rows.
func (a *asking) OldestWrite(ctx context.Context) (time.Time, error) {
	select {
	case a.asked <- struct{}{}:
	default:
	}
	return a.Rows.OldestWrite(ctx)
}

// mute is a replica's storage that can't report while it is silent.
type mute struct {
	*searchstore.Store
	silent bool
}

func (m *mute) Beat(ctx context.Context, replica string, age func() time.Duration) (bool, error) {
	if m.silent {
		return false, errors.New("the database does not answer")
	}
	return m.Store.Beat(ctx, replica, age)
}

// A replica that has not reported its writes for too long reports before the next write. If it can't, it starts no write that a reindex
// would not wait for.
func TestWriter_beginsNothingThatNobodyWouldWaitFor(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		r.make(t, 1)
		now := clock.NewFake(clock.System.Now())
		rows := &mute{Store: r.rows, silent: true}
		w := reindex.NewWriter(e, r.rows, reindex.NewReplica(rows, now))
		put := func() error { _, err := w.Put(t.Context(), r.collection(t), itemOf("d0", 7)); return err }
		require.ErrorIs(t, put(), problem.EngineUnavailable, "it has never told")
		rows.silent = false
		require.NoError(t, put())
		rows.silent = true
		now.Advance(reindex.DeadAfter - reindex.WriteLife)
		require.NoError(t, put())
		now.Advance(time.Millisecond)
		require.ErrorIs(t, put(), problem.EngineUnavailable)
		rows.silent = false
		require.NoError(t, put())
	})
}

// A worker that has lost the lease of its reindex writes nothing more, whatever it has read.
func TestWorker_writesNothingAfterItsLeaseIsLost(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 10)
		r.tell(t)
		r.worker.Reached = func(of *reindex.Reindex, _ bool) {
			if of.State == reindex.Copying {
				assert.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, "UPDATE reindexes SET lease = 'another'")
					return err
				}))
			}
		}
		worked, err := r.worker.Once(t.Context())
		require.NoError(t, err)
		require.True(t, worked)
		target, err := r.engine.Collection(t.Context(), begun.Target)
		require.NoError(t, err)
		require.Zero(t, target.Documents)
		now, err := r.rows.Reindex(t.Context(), r.collection(t), begun.ID)
		require.NoError(t, err)
		require.Equal(t, reindex.Copying, now.State, "it is the other one's to go on")
	})
}

// A rollback to a missing collection ends, and the reindex stays in state done.
func TestWorker_goesNotBackToACollectionThatIsGone(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 3)
		stop := r.run(t)
		r.await(t, begun.ID, reindex.Done)
		stop()
		c := r.collection(t)
		require.NoError(t, r.engine.Delete(t.Context(), "plays"))
		require.NoError(t, r.put(t.Context(), c, itemOf("d1", 8)))
		_, err := r.rows.Rollback(t.Context(), c, begun.ID, change)
		require.NoError(t, err)
		r.run(t)
		require.Equal(t, "not_found", r.await(t, begun.ID, reindex.Done).Failure)
		require.NoError(t, r.put(t.Context(), c, itemOf("d1", 9)))
		require.Equal(t, 9, r.number(t, "d1"))
		eventually(t, func() bool {
			now, err := r.rows.Reindex(t.Context(), c, begun.ID)
			require.NoError(t, err)
			return now.Cleanup == "" // nothing is kept any more
		})
		_, err = r.rows.Rollback(t.Context(), c, begun.ID, change)
		require.ErrorIs(t, err, reindex.ErrPast)
		require.Equal(t, 9, r.number(t, "d1"))
	})
}

// A collection is deleted only once no worker can write a copy any more, because its name is then free. What a worker may still create is
// dropped after it has left.
func TestRetire_waitsForTheWorker(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 3)
		c := r.collection(t)
		l := lease.Lease{Name: "worker", Last: time.Minute}
		working, err := r.rows.ClaimReindex(t.Context(), l)
		require.NoError(t, err)
		retired := func() bool {
			alone, err := r.rows.Retire(t.Context(), c, time.Minute)
			require.NoError(t, err)
			return alone
		}
		require.False(t, retired())
		require.ErrorIs(t, r.rows.KeepReindex(t.Context(), working, l), lease.ErrLost)
		require.False(t, retired())
		require.NoError(t, r.rows.LeaveReindex(t.Context(), working, l, time.Hour))
		require.True(t, retired())
		require.True(t, retired(), "a deletion may be repeated")
		none, err := r.rows.ClaimReindex(t.Context(), lease.Lease{Name: "other", Last: time.Minute})
		require.NoError(t, err)
		require.Nil(t, none, "nobody works on it during the deletion")

		require.NoError(t, r.engine.Delete(t.Context(), "plays"))
		require.NoError(t, r.rows.Remove(t.Context(), c, change))
		_, err = r.engine.Create(t.Context(), before.Collection(begun.Target, false)) // as the worker could
		require.NoError(t, err)
		r.run(t)
		require.Eventually(t, func() bool {
			_, err := r.engine.Collection(context.Background(), begun.Target)
			return errors.Is(err, problem.NotFound)
		}, testWait, 10*time.Millisecond)
	})
}

// Writes continue if the worker that held them has died.
func TestWriter_endsTheHoldOfADeadWorker(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 10)
		died := make(chan struct{})
		r.worker.Reached = func(_ *reindex.Reindex, held bool) {
			if held {
				close(died)
				select {} // for good
			}
		}
		r.runForGood(t)
		<-died
		require.True(t, r.collection(t).Swapping)
		require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE reindexes SET leased_until = 1")
			return err
		}))
		require.NoError(t, r.put(t.Context(), r.collection(t), engine.Item{ID: "d1", Document: document(8)}))
		now, err := r.rows.Reindex(t.Context(), r.collection(t), begun.ID)
		require.NoError(t, err)
		require.Equal(t, reindex.Verifying, now.State)
		other := newRig(t, open(t), r.engine)
		other.run(t)
		other.await(t, begun.ID, reindex.Done)
		require.Equal(t, 8, other.number(t, "d1"))
	})
}

// runForGood works until the process ends.
func (r *rig) runForGood(t *testing.T) {
	go func() { _ = r.worker.Run(context.Background()) }()
	r.tell(t)
}

// tell reports writes until the test ends.
func (r *rig) tell(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.replica.Run(ctx, func(error) {}) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestWorker_aDeletedCollectionTakesItsReindexesWithIt(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		r, begun := started(t, open, 10)
		r.run(t)
		r.await(t, begun.ID, reindex.Done)
		c := r.collection(t)
		require.NoError(t, r.engine.Delete(t.Context(), begun.Target))
		require.NoError(t, r.engine.Delete(t.Context(), "plays"))
		require.NoError(t, r.rows.Remove(t.Context(), c, change))
		r.make(t, 3) // one of the same name, which is another
		require.Equal(t, "plays", r.collection(t).Engine())
		require.Zero(t, r.number(t, "d2"))
		err := r.put(t.Context(), c, engine.Item{ID: "d1", Document: document(8)})
		require.ErrorIs(t, err, problem.NotFound)
	})
}
