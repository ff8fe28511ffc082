package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clocked returns a gate and a function that passes work of a given duration through it.
func clocked(slots int) (*Gate, func(time.Duration)) {
	g := New(slots)
	now := time.Unix(0, 0)
	g.now = func() time.Time { return now }
	return g, func(d time.Duration) { now = now.Add(d) }
}

// fill passes work of this duration through the gate, so that the gate has measured it.
func fill(t *testing.T, g *Gate, pass func(time.Duration), took time.Duration) {
	t.Helper()
	leave, err := g.Enter(t.Context())
	require.NoError(t, err)
	pass(took)
	leave()
}

func (g *Gate) waiters() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// wait enters in the background, after all earlier callers are waiting.
func wait(t *testing.T, g *Gate, ctx context.Context, entered chan<- error) (leave func()) {
	t.Helper()
	before := g.waiters()
	var out func()
	ready := make(chan struct{})
	go func() {
		var err error
		out, err = g.Enter(ctx)
		close(ready)
		entered <- err
	}()
	require.Eventually(t, func() bool { return g.waiters() == before+1 }, 5*time.Second, time.Millisecond)
	return func() { <-ready; out() }
}

func TestGate_letsLongWorkWaitForHalfOfItsTime(t *testing.T) {
	g, pass := clocked(2)
	fill(t, g, pass, 100*time.Millisecond)
	first, err := g.Enter(t.Context())
	require.NoError(t, err)
	second, err := g.Enter(t.Context())
	require.NoError(t, err)
	entered := make(chan error, 3)
	leaves := []func(){wait(t, g, t.Context(), entered)} // 50 ms
	_, err = g.Enter(t.Context())
	require.ErrorIs(t, err, ErrBusy, "100 ms would be too much")
	first()
	require.NoError(t, <-entered)
	leaves = append(leaves, wait(t, g, t.Context(), entered)) // a place is free again
	second()
	for _, leave := range leaves {
		leave()
	}
	require.Zero(t, g.waiters())
	require.Zero(t, g.working)
}

// A burst of short work is not an overload.
func TestGate_letsABurstOfShortWorkIn(t *testing.T) {
	g, pass := clocked(2)
	fill(t, g, pass, time.Millisecond)
	hold, err := g.Enter(t.Context())
	require.NoError(t, err)
	hold2, err := g.Enter(t.Context())
	require.NoError(t, err)
	entered := make(chan error, 100)
	var leaves []func()
	for range 19 {
		leaves = append(leaves, wait(t, g, t.Context(), entered))
	}
	hold()
	hold2()
	for _, leave := range leaves {
		leave()
	}
}

func TestGate_forgetsWhoHasLeft(t *testing.T) {
	g, pass := clocked(1)
	fill(t, g, pass, 100*time.Millisecond)
	hold, err := g.Enter(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan error, 1)
	wait(t, g, ctx, entered)
	cancel()
	require.ErrorIs(t, <-entered, context.Canceled)
	require.Zero(t, g.waiters())
	hold()
	require.Zero(t, g.working, "the slot was not passed to who has gone")
}

func TestGate_neverLetsMoreIn(t *testing.T) {
	g := New(3)
	var working, most, done atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
			defer cancel()
			leave, err := g.Enter(ctx)
			if err != nil {
				return
			}
			if n := working.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			working.Add(-1)
			done.Add(1)
			leave()
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Positive(t, done.Load())
	require.Zero(t, g.working)
	require.Zero(t, g.waiters())
}

func BenchmarkEnter(b *testing.B) {
	g := New(1)
	for b.Loop() {
		leave, _ := g.Enter(b.Context())
		leave()
	}
}

// However many callers come back for their next part, a new caller is admitted, and runs after at most two of them.
func TestGate_letsNewcomersInBesideThoseWhoComeBack(t *testing.T) {
	g, pass := clocked(1)
	fill(t, g, pass, 100*time.Millisecond)
	leave, err := g.Enter(t.Context())
	require.NoError(t, err)
	const groups = 64
	var order []string // written by who has the slot
	done := make(chan struct{}, groups)
	for range groups {
		go func() {
			out, err := g.EnterAgain(t.Context())
			if err == nil {
				order = append(order, "again")
				out()
			}
			done <- struct{}{}
		}()
	}
	require.Eventually(t, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.back) == groups }, 5*time.Second, time.Millisecond)
	entered := make(chan error, 1)
	out := wait(t, g, t.Context(), entered)
	leave()
	require.NoError(t, <-entered, "it is not refused")
	require.LessOrEqual(t, len(order), 2)
	out()
	for range groups {
		<-done
	}
	require.Len(t, order, groups, "and all of them work")
	require.Zero(t, g.working)
}

func TestGate_forgetsWhoDoesNotComeBack(t *testing.T) {
	g, _ := clocked(1)
	leave, err := g.Enter(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = g.EnterAgain(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, g.back)
	leave()
	require.Zero(t, g.working)
}
