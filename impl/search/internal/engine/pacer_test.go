package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// testWait is much longer than any wait in a passing test.
const testWait = 20 * time.Second

func enter(t *testing.T, p *pacer) func(bool) {
	t.Helper()
	leave, err := p.enter(t.Context(), "c")
	require.NoError(t, err)
	return leave
}

// room returns how many more writes may start now.
func room(p *pacer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.collections["c"]; c != nil {
		return c.limit - c.busy
	}
	return firstWrites
}

func TestPacer_halvesWhenTheEngineIsBehindAndGrowsAgain(t *testing.T) {
	var p pacer
	for range goodWrites {
		leave := enter(t, &p)
		leave(false)
	}
	for range 5 * goodWrites {
		a, b := enter(t, &p), enter(t, &p)
		a(false)
		b(false)
	}
	require.Equal(t, mostWrites, room(&p), "and no further")
	enter(t, &p)(true)
	require.Equal(t, mostWrites/2, room(&p))
	for range 5 {
		enter(t, &p)(true)
	}
	require.Equal(t, 1, room(&p), "one always may")
	for range goodWrites {
		enter(t, &p)(false)
	}
	require.Equal(t, 2, room(&p))
	p.drop("c")
	require.Empty(t, p.collections)
}

func TestPacer_letsWaitInTurnAndNotWithoutEnd(t *testing.T) {
	var p pacer
	first, second := enter(t, &p), enter(t, &p)
	left, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := p.enter(left, "c")
		gone <- err
	}()
	began := make(chan func(bool), waitingWrites)
	waiting := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.collections["c"].queue)
	}
	wait := func(n int) {
		require.Eventually(t, func() bool { return waiting() == n }, testWait, testWait/10_000)
	}
	wait(1)
	for i := range waitingWrites - 1 {
		go func() {
			leave, err := p.enter(context.Background(), "c")
			if err == nil {
				began <- leave
			}
		}()
		wait(i + 2)
	}
	_, err := p.enter(t.Context(), "c")
	require.ErrorIs(t, err, problem.ConcurrencyLimited)
	require.True(t, Untouched(err), "nothing was sent")
	require.True(t, Passing(err))
	require.False(t, isBehind(err), "it says nothing of the engine")
	var told *problem.Error
	require.ErrorAs(t, err, &told)
	require.NotEmpty(t, told.Header["Retry-After"])
	other, err := p.enter(t.Context(), "another")
	require.NoError(t, err, "collections don't wait for each other")
	other(false)

	cancel()
	require.ErrorIs(t, <-gone, problem.EngineUnavailable)
	wait(waitingWrites - 1)
	first(false)
	second(false)
	for range waitingWrites - 1 {
		(<-began)(false)
	}
	enter(t, &p)(false)
}

// A write that has waited long enough is told when to retry, instead of running into its deadline with an error about the engine.
func TestPacer_waitsNoLongerThanItsLimit(t *testing.T) {
	p := pacer{limit: time.Millisecond}
	first, second := enter(t, &p), enter(t, &p)
	_, err := p.enter(t.Context(), "c")
	require.ErrorIs(t, err, problem.ConcurrencyLimited)
	first(false)
	second(false)
	enter(t, &p)(false)
}

func TestPace_tellsAboutHowLongTheQueueTakes(t *testing.T) {
	c := pace{limit: 2, busy: 2, takes: 3 * time.Second, queue: make([]chan struct{}, 6)}
	require.Equal(t, 12*time.Second, c.wait())
	c.takes = time.Hour
	require.Equal(t, longestWait, c.wait())
	c.takes = 0
	require.Equal(t, leastWait, c.wait())
}
