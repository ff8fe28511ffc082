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

// line has somebody wait for a place, and returns when they stand in the line.
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

// Who comes with one large change while another one has many waiting is the next but one.
func TestPlaces_areGivenByTurns(t *testing.T) {
	p := newPlaces(1)
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
	for range 7 {
		p.leave()
		order = append(order, <-entered)
	}
	require.Equal(t, []string{"many", "few", "one", "many", "few", "many", "many"}, order)
	p.leave()
	require.NoError(t, p.enter(t.Context(), "first", time.Hour))
	require.Empty(t, p.lines)
	require.Empty(t, p.turns)
}

// Who gives up leaves the line, and takes no place with them.
func TestPlaces_loseNoneToThoseWhoGiveUp(t *testing.T) {
	p := newPlaces(1)
	require.NoError(t, p.enter(t.Context(), "first", time.Hour))
	require.ErrorIs(t, p.enter(t.Context(), "second", time.Millisecond), database.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	p.line(ctx, t, "third", func(err error) { gone <- err })
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	require.Zero(t, p.waiting("second")+p.waiting("third"))
	p.leave()
	require.Equal(t, 1, p.free)
}

func TestPlaces_areNeverMoreNorFewer(t *testing.T) {
	const n = 3
	p := newPlaces(n)
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for round := range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+round)%3 == 0 {
					go cancel() // at any moment
				}
				if p.enter(ctx, string(rune('a'+i%5)), time.Hour) == nil {
					now := inside.Add(1)
					for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
					}
					inside.Add(-1)
					p.leave()
				}
				cancel()
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, most.Load(), int64(n))
	require.Equal(t, n, p.free)
	require.Empty(t, p.lines)
	require.Empty(t, p.turns)
}
