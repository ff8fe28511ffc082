package harness

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

// Traffic is a number of callers that write and read almost without a pause. A failed request fails the test.
type Traffic struct {
	t       testing.TB
	cancel  context.CancelFunc
	all     sync.WaitGroup
	done    atomic.Int64
	slowest atomic.Int64
	failed  chan error
}

// StartTraffic starts this number of callers in the scope chaos. Writes have an Idempotency-Key, as in the SDK.
func StartTraffic(t testing.TB, c *fountain.Client, workers int) *Traffic {
	t.Helper()
	own := rand.Text()[:8]                                                                                    // a family may have traffic twice
	return StartCalls(t, workers, 20*time.Millisecond, func(worker, round int, one func(call func() error)) { // the pause keeps it below the limit by address
		id := fmt.Sprintf("%s-w%d-%d", own, worker, round)
		one(func() error {
			_, err := c.Sequence.CreateElement(context.Background(), "chaos", "line", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"text":"x"}`)})
			return err
		})
		one(func() error {
			_, err := c.Sequence.GetElement(context.Background(), "chaos", "line", id)
			return err
		})
	})
}

// StartCalls starts this number of callers. Each makes rounds of calls with a pause after each round. A round makes its
// calls through one.
func StartCalls(t testing.TB, workers int, pause time.Duration, round func(worker, round int, one func(call func() error))) *Traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &Traffic{t: t, cancel: cancel, failed: make(chan error, 1000)}
	t.Cleanup(cancel)
	for i := range workers {
		l.all.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				round(i, j, l.one)
				time.Sleep(pause)
			}
		})
	}
	return l
}

func (l *Traffic) one(call func() error) {
	began := time.Now()
	if err := call(); err != nil {
		select {
		case l.failed <- err:
		default: // enough failures are recorded
		}
		return
	}
	l.done.Add(1)
	for took := int64(time.Since(began)); ; {
		before := l.slowest.Load()
		if took <= before || l.slowest.CompareAndSwap(before, took) {
			return
		}
	}
}

// AwaitMore waits until n more requests were answered. A failed request ends the test.
func (l *Traffic) AwaitMore(n int64) {
	l.t.Helper()
	from := l.done.Load()
	require.Eventually(l.t, func() bool { return l.done.Load() >= from+n || len(l.failed) > 0 }, time.Minute, time.Millisecond)
	if len(l.failed) > 0 {
		l.Stop()
		l.t.FailNow()
	}
}

// Stop ends the traffic. It returns the number of requests and the time of the slowest one. Failed requests fail the
// test.
func (l *Traffic) Stop() (done int64, slowest time.Duration) {
	l.t.Helper()
	l.cancel()
	l.all.Wait()
	close(l.failed)
	for err := range l.failed {
		l.t.Errorf("a request failed: %v", err)
	}
	return l.done.Load(), time.Duration(l.slowest.Load())
}
