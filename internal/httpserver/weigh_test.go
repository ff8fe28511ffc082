package httpserver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// family is an operation of a service of the family.
var family = &contract.Operation{Word: "sequence"}

func TestInTurn_checksNoMoreAtOnceThanThereIsRoomFor(t *testing.T) {
	const size = checkedAtOnce / 4
	var now, most atomic.Int64
	entered, leave := make(chan struct{}, 32), make(chan struct{})
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			err := InTurn(t.Context(), family, size, func() error {
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
	require.ErrorIs(t, InTurn(t.Context(), family, largeText-1, func() error { return refusal }), refusal, "small ones need no turn")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, InTurn(gone, family, size, func() error { return nil }), problem.Overloaded)
	close(leave)
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(4))
	require.NoError(t, InTurn(t.Context(), family, 10*checkedAtOnce, func() error { return nil }), "one that is larger than all the room goes alone")
}

// However many large texts an adopted service has, they take no turns from other services.
func TestInTurn_letsNoMemberTakeTheTurnsOfOthers(t *testing.T) {
	const size = checkedAtOnce / 4
	greedy, other := &contract.Operation{Word: "greedy", Mount: "/greedy"}, &contract.Operation{Word: "other", Mount: "/other"}
	var now, most atomic.Int64
	entered, leave := make(chan struct{}, 32), make(chan struct{})
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			require.NoError(t, InTurn(t.Context(), greedy, size, func() error {
				most.Store(max(most.Load(), now.Add(1)))
				entered <- struct{}{}
				<-leave
				now.Add(-1)
				return nil
			}))
		})
	}
	<-entered
	for _, op := range []*contract.Operation{family, other} {
		require.NoError(t, InTurn(t.Context(), op, size, func() error { return nil }), op.Word)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, InTurn(gone, greedy, size, func() error { return nil }), problem.Overloaded)
	close(leave)
	all.Wait()
	require.EqualValues(t, 1, most.Load(), "one after the other")
	require.Empty(t, memberTurns.of)
}
