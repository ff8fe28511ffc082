package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// owned is a request with an owner and a part.
type owned struct{ owner, part, name string }

func (o owned) Owner() string { return o.owner }
func (o owned) Part() string  { return o.part }

// crowd is a committer whose first commit is held, and which records the requests of each commit.
type crowd struct {
	t       *testing.T
	c       *groupcommit.Committer[owned, int64]
	batches [][]owned
	began   chan struct{}
	goOn    chan struct{}
	group   sync.WaitGroup
	waiting int

	mu      sync.Mutex
	refused map[string]error // by name
}

func newCrowd(t *testing.T, o groupcommit.Options) *crowd {
	w := &crowd{t: t, began: make(chan struct{}), goOn: make(chan struct{}), refused: map[string]error{}}
	o.Log = slog.New(slog.DiscardHandler)
	w.c = groupcommit.New(openSQLite(t), o, func(_ context.Context, _ *store.Tx, batch []owned) ([]groupcommit.Result[int64], error) {
		if w.batches == nil {
			close(w.began)
			<-w.goOn
		}
		w.batches = append(w.batches, batch)
		return make([]groupcommit.Result[int64], len(batch)), nil
	})
	w.do(owned{"first", "", "first"})
	<-w.began
	return w
}

func (w *crowd) do(o owned) {
	w.group.Go(func() {
		if _, err := w.c.Do(context.Background(), o); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused[o.name] = err
		}
	})
}

// wait queues a request behind all earlier ones.
func (w *crowd) wait(o owned) {
	w.do(o)
	w.waiting++
	for w.c.Waiting() < w.waiting {
		runtime.Gosched()
	}
}

// end lets all requests be committed.
func (w *crowd) end() {
	close(w.goOn)
	w.group.Wait()
	w.c.Close()
}

// Two thousand requests of one owner are queued, then one of another owner and one of another part of the first owner. Both later ones are in the
// next commit.
func TestDo_hasNobodyWaitBehindWhoeverHasMuch(t *testing.T) {
	w := newCrowd(t, groupcommit.Options{MaxBatch: 64})
	var order []owned
	for n := range 2000 {
		o := owned{"much", "one", fmt.Sprint(n)}
		order = append(order, o)
		w.wait(o)
	}
	other, part := owned{"other", "one", "other"}, owned{"much", "two", "part"}
	w.wait(part)
	w.wait(other)
	w.end()
	require.Empty(t, w.refused)
	require.Contains(t, w.batches[1], other)
	require.Contains(t, w.batches[1], part)
	var seen []owned
	for _, batch := range w.batches {
		require.LessOrEqual(t, len(batch), 64)
		for _, o := range batch {
			if o.part == "one" && o.owner == "much" {
				seen = append(seen, o)
			}
		}
	}
	require.Equal(t, order, seen, "those of one part are taken as they came")
}

// One owner fills the queue. Requests of another owner replace the newest ones of the first, until each has half of the queue.
func TestDo_sharesAFullQueue(t *testing.T) {
	w := newCrowd(t, groupcommit.Options{Queue: 6})
	for n := range 6 {
		w.wait(owned{"much", "", fmt.Sprint("m", n)})
	}
	_, err := w.c.Do(t.Context(), owned{"much", "", "alone"})
	require.ErrorIs(t, err, problem.Overloaded, "nobody else is there to share it with")
	for n := range 3 {
		w.do(owned{"other", "", fmt.Sprint("o", n)})
		for w.count() < n+1 {
			runtime.Gosched()
		}
	}
	for name, err := range w.refused {
		require.ErrorIs(t, err, problem.QueueShareExceeded, name)
		require.NotEmpty(t, problem.From(err).Header.Get("Retry-After"))
		require.Contains(t, []string{"m3", "m4", "m5"}, name, "the newest of who has the most")
	}
	require.Equal(t, 6, w.c.Waiting())
	for _, owner := range []string{"much", "other"} {
		_, err = w.c.Do(t.Context(), owned{owner, "", "over"})
		require.ErrorIs(t, err, problem.QueueShareExceeded)
	}
	w.end()
	require.Len(t, w.batches[1], 6)
	require.Len(t, w.refused, 3)
}

func (w *crowd) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.refused)
}

// More requests than fit arrive from several owners, and their callers give up at any moment. Each request is answered once, and is applied once or
// not at all, as its answer says.
func TestDo_appliesJustWhatItDoesNotRefuse(t *testing.T) {
	applied := map[string]int{} // one commit at a time
	c := groupcommit.New(openSQLite(t), groupcommit.Options{Queue: 5, MaxBatch: 2, Log: slog.New(slog.DiscardHandler)},
		func(_ context.Context, _ *store.Tx, batch []owned) ([]groupcommit.Result[int64], error) {
			for _, one := range batch {
				applied[one.name]++
			}
			return make([]groupcommit.Result[int64], len(batch)), nil
		})
	var group sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]error{}
	for n := range 600 {
		one := owned{fmt.Sprint("owner", n%7*(n%3)%4), fmt.Sprint("part", n%2), fmt.Sprint(n)}
		ctx, giveUp := context.WithCancel(t.Context())
		group.Go(func() {
			_, err := c.Do(ctx, one)
			mu.Lock()
			defer mu.Unlock()
			answers[one.name] = err
		})
		if n%3 == 0 {
			group.Go(giveUp)
		} else {
			defer giveUp()
		}
	}
	group.Wait()
	c.Close()
	require.Len(t, answers, 600)
	for name, err := range answers {
		want := 0
		if err == nil {
			want = 1
		}
		require.Equal(t, want, applied[name], "%s: %v", name, err)
		require.True(t, err == nil || errors.Is(err, context.Canceled) || errors.Is(err, problem.Overloaded) || errors.Is(err, problem.QueueShareExceeded), "%v", err)
	}
}
