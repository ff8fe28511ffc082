package httpserver

import (
	"context"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// within returns an exchange whose operation ends after the given time, and a function that disconnects its client.
func within(t *testing.T, end time.Duration) (x *Exchange, leaves context.CancelFunc) {
	t.Helper()
	ctx, leaves := context.WithCancel(context.Background())
	t.Cleanup(leaves)
	x = newExchange(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx), "req_x")
	x.Operation = &contract.Operation{ID: "x"}
	x.Operation.Policy.Timeout = end
	x.begin()
	t.Cleanup(x.stop)
	return x, leaves
}

// The context gives the same answers whether or not its Done channel was requested before, and so do contexts derived from it.
func TestExchangeContext_endsAsOthersDo(t *testing.T) {
	for _, asked := range []bool{false, true} {
		check := func(end time.Duration, do func(*Exchange, context.CancelFunc), want error) {
			x, leaves := within(t, end)
			ctx := x.Request.Context()
			if asked {
				_ = ctx.Done()
			}
			do(x, leaves)
			if asked && want != nil {
				<-ctx.Done()
			}
			require.Equal(t, want, ctx.Err())
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			if want != nil {
				<-ctx.Done()
				<-derived.Done()
			}
			require.Equal(t, want, ctx.Err())
			require.Equal(t, want, derived.Err())
			require.Same(t, x, exchangeOf(derived))
			require.Equal(t, "req_x", RequestID(derived))
		}
		nothing := func(*Exchange, context.CancelFunc) {}
		check(time.Hour, nothing, nil)
		check(time.Nanosecond, nothing, context.DeadlineExceeded)
		check(time.Hour, func(_ *Exchange, leaves context.CancelFunc) { leaves() }, context.Canceled)
		check(time.Hour, func(x *Exchange, _ context.CancelFunc) { x.stop() }, context.Canceled)
	}
}

func TestWatch_tellsThatTheTimeIsOverOrTheClientLeft(t *testing.T) {
	rang := make(chan struct{})
	x, _ := within(t, time.Nanosecond)
	stop := x.ctx.Watch(func() { close(rang) })
	<-rang
	require.Equal(t, context.DeadlineExceeded, x.Request.Context().Err())
	require.False(t, stop())

	rang = make(chan struct{})
	x, leaves := within(t, time.Hour)
	stop = x.ctx.Watch(func() { close(rang) })
	leaves()
	<-rang
	require.False(t, stop())
}

// An alarm that is reused by another request rings only for that one. A request that ended its alarm before it rang is not notified.
func TestWatch_ringsForNoOtherRequest(t *testing.T) {
	var all sync.WaitGroup
	var ended [8][200]atomic.Int32
	for i := range ended {
		all.Go(func() {
			for j := range ended[i] {
				end := time.Hour
				if (i+j)%3 == 0 {
					end = time.Duration(j) * time.Microsecond
				}
				x, leaves := within(t, end)
				rang := &ended[i][j]
				heard := make(chan struct{})
				stop := x.ctx.Watch(func() { rang.Add(1); close(heard) })
				if (i+j)%4 == 0 {
					go leaves()
				}
				if stop() {
					leaves()
					continue
				}
				<-heard
				rang.Add(-1)
				if x.Request.Context().Err() == nil {
					t.Error("an alarm rang for another request")
				}
			}
		})
	}
	all.Wait()
	for i := range ended {
		for j := range ended[i] {
			require.Zero(t, ended[i][j].Load(), "an alarm rang that was ended, or twice")
		}
	}
}
