package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func letters(t *testing.T, db *store.DB) []outbox.DeadLetter {
	t.Helper()
	found, err := outbox.DeadLetters(context.Background(), db.Read(context.Background()), "topic", "", 100)
	require.NoError(t, err)
	return found
}

func retry(t *testing.T, db *store.DB, keys []string, limit int) (n int) {
	t.Helper()
	require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = outbox.Retry(ctx, tx, "topic", keys, limit)
		return err
	}))
	return n
}

// refuse permanently refuses some keys while told is true.
func refuse(told *atomic.Bool, keys ...string) func(context.Context, []outbox.Message) error {
	return func(_ context.Context, batch []outbox.Message) error {
		failed := map[int]error{}
		for i, m := range batch {
			for _, key := range keys {
				if m.Key == key && told.Load() {
					failed[i] = &outbox.FinalError{Reason: "too_large", Err: errors.New("is too large")}
				}
			}
		}
		if len(failed) > 0 {
			return &outbox.PartialError{Failed: failed}
		}
		return nil
	}
}

func TestRun_givesUpAtOnceWhatIsRefusedForGood(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		for _, key := range []string{"a", "b", "c", "d"} {
			enqueue(t, db, key, "payload of "+key)
		}
		var told atomic.Bool
		told.Store(true)
		s := newSink(refuse(&told, "b", "d"))
		w, stop := run(t, db, outbox.Options{}, s)
		<-s.received
		require.Eventually(t, func() bool { return len(letters(t, db)) == 2 }, 10*time.Second, time.Millisecond)
		requireEmpty(t, w)
		found := letters(t, db)
		require.Equal(t, []string{"b", "d"}, []string{found[0].Key, found[1].Key})
		require.Equal(t, "too_large", found[0].Reason)
		require.Equal(t, 1, found[0].Attempts)
		require.False(t, found[0].FailedAt.IsZero() || found[0].EnqueuedAt.IsZero())
		n, err := outbox.CountDeadLetters(t.Context(), db.Read(t.Context()), "topic")
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		behind, err := outbox.DeadLetters(t.Context(), db.Read(t.Context()), "topic", "b", 1)
		require.NoError(t, err)
		require.Len(t, behind, 1)
		require.Equal(t, "d", behind[0].Key)

		// A retry sends the payload that was refused, and a delivery ends the letter.
		told.Store(false)
		require.Equal(t, 1, retry(t, db, []string{"b", "unknown"}, 0))
		w.Notify()
		<-s.received
		require.Eventually(t, func() bool { return len(letters(t, db)) == 1 && len(s.payloads("b")) == 1 }, 10*time.Second, time.Millisecond)
		require.Equal(t, []string{"payload of b"}, s.payloads("b"))
		// So does a new change.
		enqueue(t, db, "d", "new")
		w.Notify()
		require.Eventually(t, func() bool { return len(letters(t, db)) == 0 }, 10*time.Second, time.Millisecond)
		stop()
		require.Equal(t, []string{"new"}, s.payloads("d"))
		requireEmpty(t, w)
	})
}

func TestRun_givesUpWhatFailsTooOften(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		c := clock.NewFake(time.Now())
		enqueue(t, db, "a", "")
		enqueue(t, db, "b", "")
		var mu sync.Mutex
		var attempts []int
		s := newSink(func(_ context.Context, batch []outbox.Message) error {
			for i, m := range batch {
				if m.Key == "b" {
					mu.Lock()
					attempts = append(attempts, m.Attempts)
					mu.Unlock()
					return &outbox.PartialError{Failed: map[int]error{i: errors.New("not now")}}
				}
			}
			return nil
		})
		_, stop := run(t, db, outbox.Options{Clock: c, Poll: time.Millisecond, Attempts: 3}, s)
		require.Eventually(t, func() bool { c.Advance(time.Hour); return len(letters(t, db)) == 1 }, 10*time.Second, time.Millisecond)
		stop()
		require.Equal(t, []int{0, 1, 2}, attempts)
		require.Equal(t, outbox.TooManyAttempts, letters(t, db)[0].Reason)
		require.Equal(t, 3, letters(t, db)[0].Attempts)
	})
}

// No message becomes a dead letter because the other system was unavailable for long.
func TestRun_givesNothingUpWhileTheOtherSystemIsAway(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		const messages = 2
		for i := range messages {
			enqueue(t, db, fmt.Sprint(i), "")
		}
		c := clock.NewFake(time.Now())
		var away atomic.Bool
		away.Store(true)
		s := newSink(func(context.Context, []outbox.Message) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		})
		w, stop := run(t, db, outbox.Options{Clock: c, Poll: time.Millisecond, Attempts: 2}, s)
		for range 6 { // the pauses between them are real
			c.Advance(time.Hour)
			<-s.received
		}
		require.Empty(t, letters(t, db))
		away.Store(false)
		require.Eventually(t, func() bool {
			c.Advance(time.Hour)
			n, _, err := w.Lag(context.Background())
			return err == nil && n == 0
		}, 20*time.Second, time.Millisecond)
		stop()
		require.Len(t, s.got, messages)
		require.Empty(t, letters(t, db))
	})
}

// A message that makes every call fail is found and becomes a dead letter, because other messages are delivered between its attempts.
func TestRun_givesUpWhatMakesEveryCallFail(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		c := clock.NewFake(time.Now())
		enqueue(t, db, "poison", "")
		s := newSink(func(_ context.Context, batch []outbox.Message) error {
			for _, m := range batch {
				if m.Key == "poison" {
					return errors.New("answered 500")
				}
			}
			return nil
		})
		w, stop := run(t, db, outbox.Options{Clock: c, Poll: time.Millisecond, Attempts: 2}, s)
		n := 0
		require.Eventually(t, func() bool {
			c.Advance(time.Hour)
			enqueue(t, db, fmt.Sprint(n), "")
			n++
			w.Notify()
			return len(letters(t, db)) == 1
		}, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, "poison", letters(t, db)[0].Key)
		require.Eventually(t, func() bool {
			c.Advance(time.Hour)
			count, _, err := w.Lag(context.Background())
			return err == nil && count == 0
		}, 10*time.Second, time.Millisecond)
		stop()
		require.Len(t, s.got, n)
	})
}

// A message that changed while its old state was refused is delivered in its new state.
func TestRun_doesNotGiveUpWhatChangedMeanwhile(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		enqueue(t, db, "a", "old")
		var once sync.Once
		s := newSink(func(_ context.Context, batch []outbox.Message) (err error) {
			once.Do(func() {
				enqueue(t, db, "a", "new")
				err = &outbox.PartialError{Failed: map[int]error{0: &outbox.FinalError{Reason: "too_large", Err: errors.New("is too large")}}}
			})
			return err
		})
		w, stop := run(t, db, outbox.Options{Poll: time.Millisecond}, s)
		<-s.received
		<-s.received
		stop()
		require.Equal(t, []string{"new"}, s.payloads("a"))
		require.Empty(t, letters(t, db))
		requireEmpty(t, w)
	})
}

// A retry that runs beside workers which give up and deliver the same messages loses none and causes no deadlock.
func TestRetry_besideWorkersLosesNothing(t *testing.T) {
	const messages, rounds = 200, 20
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		dbs := []*store.DB{open(t), open(t)}
		keys := make([]string, messages)
		for i := range keys {
			keys[i] = fmt.Sprintf("k%03d", i)
			enqueue(t, dbs[0], keys[i], "")
		}
		var told atomic.Bool
		told.Store(true)
		sinks := []*sink{newSink(refuse(&told, keys...)), newSink(refuse(&told, keys...))}
		var stops []func()
		for i, db := range dbs {
			_, stop := run(t, db, outbox.Options{Poll: time.Millisecond, Batch: 40}, sinks[i])
			stops = append(stops, stop)
		}
		var group sync.WaitGroup
		for i, db := range dbs {
			group.Go(func() {
				for range rounds {
					if i == 0 {
						retry(t, db, nil, messages)
					} else {
						retry(t, db, keys, 0)
					}
				}
			})
		}
		group.Wait()
		told.Store(false)
		require.Eventually(t, func() bool {
			retry(t, dbs[0], nil, messages)
			delivered := map[string]bool{}
			for _, s := range sinks {
				s.mu.Lock()
				for key := range s.got {
					delivered[key] = true
				}
				s.mu.Unlock()
			}
			return len(delivered) == messages
		}, 30*time.Second, 10*time.Millisecond)
		for _, stop := range stops {
			stop()
		}
		require.Empty(t, letters(t, dbs[0]))
	})
}

// A worker that continues after its lease has ended does not remove what another worker has written since.
func TestRun_leavesTheLetterOfALaterLease(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := open(t), open(t)
		c := clock.NewFake(time.Now())
		enqueue(t, db, "a", "one")
		begun, release := make(chan struct{}), make(chan struct{})
		stuck := newSink(func(context.Context, []outbox.Message) error {
			close(begun)
			<-release // ignores its context
			return nil
		})
		_, stopStuck := run(t, db, outbox.Options{Clock: c, Lease: time.Hour}, stuck) // its lease is not renewed during the test
		<-begun
		enqueue(t, db, "a", "two")
		c.Advance(2 * time.Hour)
		var told atomic.Bool
		told.Store(true)
		later := newSink(refuse(&told, "a"))
		w, stop := run(t, other, outbox.Options{Clock: c, Lease: time.Hour}, later)
		w.Notify()
		<-later.received
		require.Eventually(t, func() bool { return len(letters(t, db)) == 1 }, 10*time.Second, time.Millisecond)
		close(release)
		<-stuck.received
		stopStuck()
		stop()
		require.Len(t, letters(t, db), 1, "search has the first state alone")
	})
}

// Failures of an old state do not count for a changed message.
func TestEnqueue_forgetsTheFailuresOfTheOldState(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		c := clock.NewFake(time.Now())
		enqueue(t, db, "a", "bad")
		attempts := make(chan int, 100)
		s := newSink(func(_ context.Context, batch []outbox.Message) error {
			attempts <- batch[0].Attempts
			if string(batch[0].Payload) == "bad" || batch[0].Attempts == 0 {
				return &outbox.PartialError{Failed: map[int]error{0: errors.New("not now")}}
			}
			return nil
		})
		w, stop := run(t, db, outbox.Options{Clock: c, Poll: time.Hour, Attempts: 2}, s)
		require.Equal(t, 0, <-attempts)
		<-s.received
		require.Eventually(t, func() bool { // it is settled
			var n int
			return db.Read(context.Background()).Get(context.Background(), &n, "SELECT attempts FROM outbox WHERE lease = ''") == nil && n == 1
		}, 10*time.Second, time.Millisecond)
		enqueue(t, db, "a", "good")
		w.Notify()
		require.Equal(t, 0, <-attempts)
		require.Eventually(t, func() bool {
			c.Advance(time.Hour)
			w.Notify()
			return len(s.payloads("a")) == 1
		}, 10*time.Second, time.Millisecond)
		stop()
		require.Empty(t, letters(t, db))
	})
}
