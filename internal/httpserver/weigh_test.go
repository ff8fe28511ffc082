package httpserver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

func TestInTurn_checksNoMoreAtOnceThanThereIsRoomFor(t *testing.T) {
	const size = checkedAtOnce / 4
	var now, most atomic.Int64
	entered, leave := make(chan struct{}, 32), make(chan struct{})
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			err := InTurn(t.Context(), size, func() error {
				n := now.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				entered <- struct{}{}
				<-leave
				now.Add(-1)
				return nil
			})
			require.NoError(t, err)
		})
	}
	for range 4 {
		<-entered
	}
	refusal := errors.New("what the check says")
	require.ErrorIs(t, InTurn(t.Context(), largeText-1, func() error { return refusal }), refusal, "small ones need no turn")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, InTurn(gone, size, func() error { return nil }), problem.Overloaded)
	close(leave)
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(4))
	require.NoError(t, InTurn(t.Context(), 10*checkedAtOnce, func() error { return nil }), "one that is larger than all the room goes alone")
}
