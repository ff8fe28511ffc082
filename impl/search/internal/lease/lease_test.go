package lease_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/lease"
)

func TestFenced_endsBeforeTheLease(t *testing.T) {
	before := time.Now()
	var renewed time.Time
	ctx, cancel, err := lease.Fenced(t.Context(), func(ctx context.Context) error {
		end, ok := ctx.Deadline()
		require.True(t, ok, "renewing has its time, too")
		require.False(t, end.Before(before.Add(lease.CallLimit)))
		renewed = time.Now()
		return nil
	})
	require.NoError(t, err)
	end, ok := ctx.Deadline()
	require.True(t, ok)
	require.True(t, end.Before(renewed.Add(lease.Last)), "what is sent by it has ended when another may have the lease")
	cancel()
	require.ErrorIs(t, ctx.Err(), context.Canceled)

	_, _, err = lease.Fenced(t.Context(), func(context.Context) error { return lease.ErrLost })
	require.ErrorIs(t, err, lease.ErrLost, "nothing is sent by a lease that is another's")
}

// piece is some work.
type piece struct{ done int }

func TestWork_givesBackWhatItHasClaimed(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		does    error
		stopped bool
		told    error
	}{
		"done": {nil, false, nil}, "lost": {lease.ErrLost, false, lease.ErrLost}, "failed": {broken, false, broken},
		"stopped": {broken, true, lease.ErrStopped}, "done before it was stopped": {nil, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var by []lease.Lease
			left := false
			worked, err := lease.Work[piece]{
				Claim: func(_ context.Context, l lease.Lease) (*piece, error) { by = append(by, l); return &piece{}, nil },
				Do: func(_ context.Context, p *piece, l lease.Lease) error {
					by = append(by, l)
					if p.done++; c.stopped {
						stop()
					}
					return c.does
				},
				Leave: func(ctx context.Context, p *piece, l lease.Lease, cause error) error {
					require.NoError(t, ctx.Err(), "the lease is given back all the same")
					require.Equal(t, 1, p.done)
					require.ErrorIs(t, cause, c.told)
					by, left = append(by, l), true
					return cause
				},
			}.Once(ctx)
			require.True(t, worked)
			require.True(t, left)
			require.ErrorIs(t, err, c.told)
			require.Len(t, by, 3)
			require.Equal(t, by[0], by[1])
			require.Equal(t, by[0], by[2])
			require.Equal(t, lease.Last, by[0].Last)
			require.NotEqual(t, by[0].Name, lease.New(lease.Last).Name, "no two leases have one name")
		})
	}
}

func TestWork_doesNothingWithoutAClaim(t *testing.T) {
	broken := errors.New("broken")
	for _, claimed := range []error{nil, broken} {
		worked, err := lease.Work[piece]{Claim: func(context.Context, lease.Lease) (*piece, error) { return nil, claimed }}.Once(t.Context())
		require.False(t, worked)
		require.ErrorIs(t, err, claimed)
	}
}

// A worker continues at once while there is work and it succeeds, checks again when it is woken, reports failures, and ends with its
// context.
func TestWorker_worksUntilItsEnd(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	var failures atomic.Int64
	asked, answers := make(chan struct{}), make(chan error)
	w := lease.NewWorker(func(context.Context) (bool, error) {
		asked <- struct{}{}
		err := <-answers
		return err == nil, err
	}, slog.New(slog.NewTextHandler(&log, nil)), "a piece can't go on", func() { failures.Add(1) })
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for range 3 {
		<-asked
		answers <- nil
	}
	<-asked
	w.Wake() // twice: it does not wait for who looks
	w.Wake()
	answers <- errors.New("the engine is away")
	<-asked
	stop()
	answers <- ctx.Err()
	require.NoError(t, <-ended)
	require.EqualValues(t, 1, failures.Load(), "that it was stopped is no failure")
	require.Contains(t, log.String(), "a piece can't go on")
	require.Contains(t, log.String(), "the engine is away")
}
