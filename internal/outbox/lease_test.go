package outbox_test

import (
	"context"
	"errors"
	"strings"
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

// A delivery that takes much longer than a lease keeps its messages: no other worker gets them.
func TestRun_keepsItsLeaseWhileItDelivers(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		dbs := []*store.DB{open(t), open(t)}
		if dbs[0].Dialect() == store.SQLite {
			return // on SQLite a lease lasts as long as a delivery may take
		}
		enqueue(t, dbs[0], "a", "one")
		begun, release := make(chan struct{}), make(chan struct{})
		letGo := sync.OnceFunc(func() { close(release) })
		t.Cleanup(letGo) // a failure must not leave the worker waiting
		var deliveries atomic.Int64
		slow := func(context.Context, []outbox.Message) error {
			if deliveries.Add(1) == 1 {
				close(begun)
				<-release
			}
			return nil
		}
		o := outbox.Options{Lease: time.Second, Poll: 10 * time.Millisecond}
		w, stop := run(t, dbs[0], o, newSink(slow))
		<-begun
		due := func() (at int64) {
			require.NoError(t, dbs[1].Read(t.Context()).Get(t.Context(), &at, "SELECT due_at FROM outbox"))
			return at
		}
		first := due()
		_, stopOther := run(t, dbs[1], o, newSink(slow))
		require.Eventually(t, func() bool { return due() > first+3*time.Second.Microseconds() }, time.Minute, 50*time.Millisecond, "it is renewed, for three leases")
		require.EqualValues(t, 1, deliveries.Load())
		letGo()
		require.Eventually(t, func() bool { n, _, err := w.Lag(t.Context()); return err == nil && n == 0 }, 10*time.Second, time.Millisecond)
		stop()
		stopOther()
		require.EqualValues(t, 1, deliveries.Load())
	})
}

// A lease that was taken before the clock was set back by five minutes ends at once, and not after five minutes.
func TestRun_takesOverALeaseOfAClockThatWasAhead(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := open(t), open(t)
		enqueue(t, db, "a", "one")
		hanging, release := make(chan struct{}), make(chan struct{})
		_, stopStuck := run(t, db, outbox.Options{Clock: clock.NewFake(time.Now())}, newSink(func(context.Context, []outbox.Message) error {
			close(hanging)
			<-release
			return nil
		}))
		<-hanging
		s := newSink(nil)
		_, stop := run(t, other, outbox.Options{Clock: clock.NewFake(time.Now().Add(-5 * time.Minute)), Poll: time.Millisecond}, s)
		<-s.received
		stop()
		close(release)
		stopStuck()
	})
}

// A writer has locked the row of the first key and needs those of all others, while a worker releases all of them: neither has to run again.
func TestRun_neverDeadlocksWithAWriter(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := open(t), open(t)
		if db.Dialect() == store.SQLite {
			return // one writer cannot deadlock
		}
		const keys = "zyxwvutsrqponmlkjihgfedcba"
		for _, key := range keys {
			enqueue(t, db, string(key), "")
		}
		delivering, settle := make(chan struct{}), make(chan struct{})
		var once sync.Once
		_, stop := run(t, other, outbox.Options{}, newSink(func(context.Context, []outbox.Message) error {
			once.Do(func() { close(delivering); <-settle })
			return errors.New("away") // so that all messages are released, by one statement
		}))
		<-delivering
		runs := 0
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			runs++
			require.NoError(t, outbox.Enqueue(ctx, tx, "topic", "a", nil))
			close(settle)
			for waiting := 0; waiting == 0; { // until the worker waits for a row
				require.NoError(t, tx.Get(ctx, &waiting, "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"))
			}
			return outbox.EnqueueKeys(ctx, tx, "topic", strings.Split(keys, ""))
		}))
		require.Equal(t, 1, runs)
		stop()
	})
}

// A delivery is cancelled when its worker has lost the messages.
func TestRun_endsADeliveryWhoseLeaseIsLost(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		if db.Dialect() == store.SQLite {
			return // one process has the file: its leases are not lost
		}
		enqueue(t, db, "a", "one")
		begun, ended := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		_, stop := run(t, db, outbox.Options{Lease: 300 * time.Millisecond, Poll: 10 * time.Millisecond}, newSink(func(ctx context.Context, _ []outbox.Message) error {
			if first.CompareAndSwap(false, true) {
				close(begun)
				<-ctx.Done()
				close(ended)
				return ctx.Err()
			}
			return nil
		}))
		defer stop()
		<-begun
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "LOCK TABLE outbox") // no renewal is done meanwhile
			<-ended
			return err
		}))
	})
}
