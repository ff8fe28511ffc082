package writer

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

// line starts a caller that waits for a place, and returns when the caller is in the line.
func (p *places) line(ctx context.Context, t *testing.T, owner string, done func(error)) {
	t.Helper()
	before := p.waiting(owner)
	go func() { done(p.enter(ctx, owner, time.Hour)) }()
	require.Eventually(t, func() bool { return p.waiting(owner) > before }, time.Minute, time.Millisecond)
}

func (p *places) waiting(owner string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines[owner])
}

// An owner with one large change, that comes while another owner has many waiting, gets the place after the next one.
func TestPlaces_areGivenByTurns(t *testing.T) {
	p := newPlaces(1, 1)
	require.NoError(t, p.enter(t.Context(), "first", time.Hour))
	entered := make(chan string, 8)
	enters := func(owner string) func(error) {
		return func(err error) {
			require.NoError(t, err)
			entered <- owner
		}
	}
	for range 4 {
		p.line(t.Context(), t, "many", enters("many"))
	}
	for range 2 {
		p.line(t.Context(), t, "few", enters("few"))
	}
	p.line(t.Context(), t, "one", enters("one"))
	var order []string
	inside := "first"
	for range 7 {
		p.leave(inside)
		inside = <-entered
		order = append(order, inside)
	}
	require.Equal(t, []string{"many", "few", "one", "many", "few", "many", "many"}, order)
	p.leave(inside)
	require.NoError(t, p.enter(t.Context(), "first", time.Hour))
	require.Empty(t, p.lines)
	require.Empty(t, p.turns)
	require.Equal(t, map[string]int{"first": 1}, p.held)
}

// A caller that gives up leaves the line, and no place is lost.
func TestPlaces_loseNoneToThoseWhoGiveUp(t *testing.T) {
	p := newPlaces(1, 1)
	require.NoError(t, p.enter(t.Context(), "first", time.Hour))
	require.ErrorIs(t, p.enter(t.Context(), "second", time.Millisecond), database.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	p.line(ctx, t, "third", func(err error) { gone <- err })
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	require.Zero(t, p.waiting("second")+p.waiting("third"))
	p.leave("first")
	require.Equal(t, 1, p.free)
}

// An owner that holds the maximum number of places waits for one of its own, while others take the free places.
func TestPlaces_areNeverAllOfOneOwner(t *testing.T) {
	p := newPlaces(3, 2)
	entered := make(chan string, 2)
	for range 2 {
		require.NoError(t, p.enter(t.Context(), "many", time.Hour))
	}
	p.line(t.Context(), t, "many", func(err error) {
		require.NoError(t, err)
		entered <- "many"
	})
	require.NoError(t, p.enter(t.Context(), "one", time.Hour))
	p.leave("one")
	require.Equal(t, 1, p.waiting("many"), "it is not theirs")
	require.Equal(t, 1, p.free)
	require.NoError(t, p.enter(t.Context(), "one", time.Hour))
	p.line(t.Context(), t, "other", func(err error) {
		require.NoError(t, err)
		entered <- "other"
	})
	p.leave("one")
	require.Equal(t, "other", <-entered, "though another one stands in front")
	p.leave("many")
	require.Equal(t, "many", <-entered)
	require.Zero(t, p.free)
}

func TestPlaces_areNeverMoreNorFewer(t *testing.T) {
	const n = 3
	p := newPlaces(n, 2)
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for round := range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+round)%3 == 0 {
					go cancel() // at any moment
				}
				owner := string(rune('a' + i%5))
				if p.enter(ctx, owner, time.Hour) == nil {
					now := inside.Add(1)
					for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
					}
					inside.Add(-1)
					p.leave(owner)
				}
				cancel()
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, most.Load(), int64(n))
	require.Equal(t, n, p.free)
	require.Empty(t, p.held)
	require.Empty(t, p.lines)
	require.Empty(t, p.turns)
}
