package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// A message that changes while it is delivered stays with its worker. No other worker gets it before that delivery has ended; then the new state is
// delivered.
func TestEnqueue_leavesALeasedMessageToItsWorker(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := open(t), open(t)
		enqueue(t, db, "a", "old")
		busy, released := make(chan struct{}), make(chan struct{})
		release := sync.OnceFunc(func() { close(released) })
		var once sync.Once
		first := newSink(func(context.Context, []outbox.Message) error {
			once.Do(func() {
				close(busy)
				<-released
			})
			return nil
		})
		w, stopFirst := run(t, db, outbox.Options{Lease: time.Hour}, first)
		t.Cleanup(release) // before the worker is waited for
		<-busy
		enqueue(t, db, "a", "new")
		enqueue(t, db, "b", "")
		second := newSink(nil)
		_, stopSecond := run(t, other, outbox.Options{Lease: time.Hour}, second)
		<-second.received
		stopSecond()
		require.Equal(t, []string{""}, second.payloads("b"))
		require.Empty(t, second.payloads("a"), "it is leased")
		release()
		<-first.received
		w.Notify()
		<-first.received
		stopFirst()
		require.Equal(t, []string{"old", "new"}, first.payloads("a"))
		requireEmpty(t, w)
	})
}

// However well deliveries succeed, none has more messages than a batch.
func TestRun_deliversNoMoreThanABatchAtOnce(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		for n := range 20 {
			enqueue(t, db, fmt.Sprint(n), "")
		}
		s := newSink(nil)
		w, stop := run(t, db, outbox.Options{Batch: 3}, s)
		require.Eventually(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.got) == 20
		}, 30*time.Second, 5*time.Millisecond)
		stop()
		require.Equal(t, 3, s.largest)
		requireEmpty(t, w)
	})
}

// A delivery that takes too long is cancelled and tried again.
func TestRun_endsADeliveryThatTakesTooLong(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		enqueue(t, db, "a", "state")
		var once sync.Once
		s := newSink(func(ctx context.Context, _ []outbox.Message) (err error) {
			once.Do(func() {
				select {
				case <-ctx.Done():
					err = context.Cause(ctx)
				case <-time.After(time.Minute):
					t.Error("nobody ended the delivery")
					err = errors.New("too late")
				}
			})
			return err
		})
		w, stop := run(t, db, outbox.Options{Timeout: 20 * time.Millisecond, Lease: time.Hour, Poll: 10 * time.Millisecond}, s)
		<-s.received
		<-s.received
		require.Eventually(t, func() bool { return len(s.payloads("a")) == 1 }, 30*time.Second, 10*time.Millisecond)
		stop()
		requireEmpty(t, w)
	})
}
