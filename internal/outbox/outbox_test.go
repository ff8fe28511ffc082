package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var migrations = []fs.FS{outbox.Migrations}

func enqueue(t *testing.T, db *store.DB, key, payload string) {
	t.Helper()
	require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return outbox.Enqueue(ctx, tx, "topic", key, []byte(payload))
	}))
}

// sink is the other system. It records every delivery, and a test sets its answers.
type sink struct {
	mu       sync.Mutex
	got      map[string][]string // payloads by key, in order
	largest  int
	behave   func(ctx context.Context, batch []outbox.Message) error
	received chan struct{} // one for every batch
}

func newSink(behave func(ctx context.Context, batch []outbox.Message) error) *sink {
	return &sink{got: map[string][]string{}, behave: behave, received: make(chan struct{}, 10_000)}
}

func (s *sink) deliver(ctx context.Context, batch []outbox.Message) error {
	defer func() { s.received <- struct{}{} }()
	var err error
	if s.behave != nil {
		err = s.behave(ctx, batch)
	}
	var partial *outbox.PartialError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.largest = max(s.largest, len(batch))
	for i, m := range batch {
		if partial == nil || partial.Failed[i] == nil {
			s.got[m.Key] = append(s.got[m.Key], string(m.Payload))
		}
	}
	return err
}

func (s *sink) payloads(key string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got[key]...)
}

// run starts a worker that looks only when notified, unless its options say otherwise. It returns the worker and a function that stops it.
func run(t *testing.T, db *store.DB, o outbox.Options, s *sink) (*outbox.Worker, func()) {
	t.Helper()
	if o.Poll == 0 {
		o.Poll = time.Hour
	}
	o.Log = slog.New(slog.DiscardHandler)
	w := outbox.New(db, o, s.deliver)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Cleanup(stop)
	return w, stop
}

func requireEmpty(t *testing.T, w *outbox.Worker) {
	t.Helper()
	count, oldest, err := w.Lag(t.Context())
	require.NoError(t, err)
	require.Zero(t, count)
	require.Zero(t, oldest)
}

func TestEnqueue_goesWithItsTransaction(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		refused := errors.New("refused")
		require.ErrorIs(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, outbox.Enqueue(ctx, tx, "topic", "a", nil))
			return refused
		}), refused)
		s := newSink(nil)
		w, stop := run(t, db, outbox.Options{}, s)
		requireEmpty(t, w)
		enqueue(t, db, "b", "")
		w.Notify()
		<-s.received
		stop()
		require.Equal(t, map[string][]string{"b": {""}}, s.got)
		requireEmpty(t, w)
	})
}

func TestEnqueue_coalescesChangesOfTheSame(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		for i := range 5 {
			enqueue(t, db, "a", fmt.Sprint(i))
			enqueue(t, db, "b", fmt.Sprint(10+i))
		}
		s := newSink(nil)
		_, stop := run(t, db, outbox.Options{}, s)
		<-s.received
		stop()
		require.Equal(t, map[string][]string{"a": {"4"}, "b": {"14"}}, s.got)
	})
}

func TestEnqueue_refusesWhatIsTooLarge(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		for _, c := range []struct {
			topic, key string
			payload    []byte
		}{{"", "k", nil}, {string(make([]byte, 513)), "k", nil}, {"t", string(make([]byte, 513)), nil}, {"t", "k", make([]byte, 256<<10+1)}} {
			require.Error(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return outbox.Enqueue(ctx, tx, c.topic, c.key, c.payload)
			}))
		}
	})
}

func TestRun_deliversAgainWhatChangedMeanwhile(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		enqueue(t, db, "a", "old")
		var once sync.Once
		s := newSink(func(context.Context, []outbox.Message) error {
			once.Do(func() { enqueue(t, db, "a", "new") })
			return nil
		})
		w, stop := run(t, db, outbox.Options{}, s)
		<-s.received
		w.Notify() // what a caller does after its commit
		<-s.received
		stop()
		require.Equal(t, []string{"old", "new"}, s.got["a"])
		requireEmpty(t, w)
	})
}

func TestRun_sharesTheWorkBetweenReplicas(t *testing.T) {
	const messages = 200
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		dbs := []*store.DB{open(t), open(t)}
		require.NoError(t, dbs[0].Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := range messages {
				if err := outbox.Enqueue(ctx, tx, "topic", fmt.Sprint(i), nil); err != nil {
					return err
				}
			}
			return nil
		}))
		all := make(chan struct{})
		var mu sync.Mutex
		seen := 0
		// Neither finishes its first batch before both have one.
		var both sync.WaitGroup
		both.Add(2)
		behave := func() func(context.Context, []outbox.Message) error {
			var first sync.Once
			return func(_ context.Context, batch []outbox.Message) error {
				first.Do(func() {
					both.Done()
					both.Wait()
				})
				mu.Lock()
				defer mu.Unlock()
				if seen += len(batch); seen == messages {
					close(all)
				}
				return nil
			}
		}
		sinks := []*sink{newSink(behave()), newSink(behave())}
		w, stop0 := run(t, dbs[0], outbox.Options{Batch: 10}, sinks[0])
		_, stop1 := run(t, dbs[1], outbox.Options{Batch: 10}, sinks[1])
		<-all
		stop0()
		stop1()
		for i := range messages {
			key := fmt.Sprint(i)
			require.Len(t, append(sinks[0].got[key], sinks[1].got[key]...), 1, "delivered once where nothing fails")
		}
		require.LessOrEqual(t, sinks[0].largest, 10)
		require.NotEmpty(t, sinks[0].got)
		require.NotEmpty(t, sinks[1].got)
		requireEmpty(t, w)
	})
}

func TestRun_takesOverFromAWorkerThatHangs(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := open(t), open(t)
		c := clock.NewFake(time.Now())
		enqueue(t, db, "a", "one")
		hanging, release := make(chan struct{}), make(chan struct{})
		stuck := newSink(func(context.Context, []outbox.Message) error {
			close(hanging)
			<-release // ignores its context
			return nil
		})
		_, stopStuck := run(t, db, outbox.Options{Clock: c, Lease: time.Minute}, stuck)
		<-hanging

		s := newSink(nil)
		w, stop := run(t, other, outbox.Options{Clock: c, Lease: time.Minute}, s)
		c.Advance(time.Minute)
		w.Notify()
		<-s.received
		stop()
		require.Equal(t, []string{"one"}, s.payloads("a"))
		requireEmpty(t, w)

		// A new message with the same key: the late worker must not mistake it for the one that it had.
		enqueue(t, db, "a", "two")
		close(release)
		<-stuck.received
		stopStuck()
		count, _, err := w.Lag(t.Context())
		require.NoError(t, err)
		if got := stuck.payloads("a"); len(got) == 1 { // else it has delivered the second one too, rightly
			require.EqualValues(t, 1, count)
		}
	})
}

func TestRun_setsOneBadMessageAside(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		const good = 6
		for i := range good {
			enqueue(t, db, fmt.Sprint(i), "")
			if i == 2 {
				enqueue(t, db, "bad", "")
			}
		}
		delivered := make(chan struct{}, good)
		s := newSink(func(_ context.Context, batch []outbox.Message) error {
			for _, m := range batch {
				if m.Key == "bad" {
					panic("bad message")
				}
			}
			for range batch {
				delivered <- struct{}{}
			}
			return nil
		})
		w, stop := run(t, db, outbox.Options{Poll: time.Millisecond}, s)
		for range good {
			<-delivered
		}
		stop()
		count, _, err := w.Lag(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, count, "only the bad one waits")
	})
}

// A message that failed while the clock was a year ahead does not wait for that year.
func TestRun_deliversWhatAClockThatWasAheadPutOff(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		enqueue(t, db, "late", "")
		ahead := clock.NewFake(time.Now().AddDate(1, 0, 0))
		failed := make(chan struct{}, 100)
		_, stop := run(t, db, outbox.Options{Poll: time.Millisecond, Clock: ahead}, newSink(func(context.Context, []outbox.Message) error {
			failed <- struct{}{}
			return errors.New("away")
		}))
		<-failed
		stop()
		delivered := make(chan struct{}, 1)
		_, stop = run(t, db, outbox.Options{Poll: time.Millisecond}, newSink(func(context.Context, []outbox.Message) error {
			delivered <- struct{}{}
			return nil
		}))
		defer stop()
		<-delivered
	})
}

func TestRun_keepsOnlyWhatFailedOfABatch(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		c := clock.NewFake(time.Now())
		for _, key := range []string{"a", "b", "c"} {
			enqueue(t, db, key, "")
		}
		attempts := make(chan int, 10)
		s := newSink(func(_ context.Context, batch []outbox.Message) error {
			for i, m := range batch {
				if m.Key == "b" {
					attempts <- m.Attempts
					if m.Attempts < 2 {
						return &outbox.PartialError{Failed: map[int]error{i: errors.New("not now")}}
					}
				}
			}
			return nil
		})
		w, stop := run(t, db, outbox.Options{Clock: c, Poll: time.Millisecond}, s)
		require.Equal(t, 0, <-attempts)
		for want := 1; want <= 2; {
			select {
			case got := <-attempts:
				require.Equal(t, want, got)
				want++
			default:
				c.Advance(time.Hour) // a failed message waits until it is due
				runtime.Gosched()
			}
		}
		stop()
		require.Equal(t, map[string][]string{"a": {""}, "b": {""}, "c": {""}}, s.got)
		requireEmpty(t, w)
	})
}

func TestRun_givesBackWhatItWasInterruptedIn(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		enqueue(t, db, "a", "")
		entered := make(chan struct{})
		var once sync.Once
		s := newSink(func(ctx context.Context, _ []outbox.Message) error {
			once.Do(func() { close(entered) })
			<-ctx.Done()
			return ctx.Err()
		})
		_, stop := run(t, db, outbox.Options{}, s)
		<-entered
		stop()
		next := newSink(func(_ context.Context, batch []outbox.Message) error {
			require.Zero(t, batch[0].Attempts, "the end of a process is no failure of the message")
			return nil
		})
		w, stop := run(t, db, outbox.Options{}, next)
		<-next.received // at once, without waiting for the lease to end
		stop()
		requireEmpty(t, w)
	})
}

func TestLag_growsWithTheOldest(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		c := clock.NewFake(time.Now())
		w := outbox.New(db, outbox.Options{Clock: c}, nil)
		enqueue(t, db, "a", "")
		c.Advance(time.Hour)
		enqueue(t, db, "a", "later")
		enqueue(t, db, "b", "")
		count, oldest, err := w.Lag(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2, count)
		require.InDelta(t, time.Hour, oldest, float64(time.Minute), "a later change does not make the first one younger")
	})
}
