package groupcommit_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// heavy is a request with this load.
type heavy int

func (h heavy) Load() int { return int(h) }

// All requests are queued behind one commit. Without the bound, the next commit would take them all.
func TestDo_takesNoMoreIntoOneCommitThanMaxLoad(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		first, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var loads []int
		c := groupcommit.New(open(t), groupcommit.Options{MaxLoad: 1000, Log: slog.New(slog.DiscardHandler)},
			func(_ context.Context, _ *store.Tx, batch []heavy) ([]groupcommit.Result[int64], error) {
				once.Do(func() { close(first); <-goOn })
				load := 0
				for _, h := range batch {
					load += int(h)
				}
				loads = append(loads, load)
				return make([]groupcommit.Result[int64], len(batch)), nil
			})
		var group sync.WaitGroup
		do := func(h heavy) {
			group.Go(func() {
				if _, err := c.Do(context.Background(), h); err != nil {
					t.Errorf("do: %v", err)
				}
			})
		}
		do(1)
		<-first
		for range 20 {
			do(400)
		}
		for c.Waiting() < 20 {
			runtime.Gosched()
		}
		close(goOn)
		group.Wait()
		c.Close()
		require.Equal(t, []int{1, 1200, 1200, 1200, 1200, 1200, 1200, 800}, loads)
	})
}
