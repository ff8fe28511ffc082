package httpserver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// begun returns an exchange of an operation with this timeout.
func begun(timeout, left time.Duration) *Exchange {
	op := &contract.Operation{ID: "x"}
	op.Policy.Timeout = timeout
	x := newExchange(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), "req_x")
	x.Operation, x.timeLeft = op, left
	x.begin()
	return x
}

// A request that waits aside holds no slot and its time does not run. Afterwards it takes a slot again, which may be refused.
func TestAside_holdsNothingAndCostsNoTime(t *testing.T) {
	x := begun(time.Hour, 0)
	defer func() { x.stop() }()
	var held atomic.Int64
	take := func(x *Exchange) error { held.Add(1); x.Hold(&held); return nil }
	x.admit = take
	require.NoError(t, take(x))
	before := x.deadline
	first := x.Request.Context()
	require.NoError(t, x.Aside(func(ctx context.Context) error {
		require.Zero(t, held.Load())
		_, limited := ctx.Deadline()
		require.False(t, limited)
		time.Sleep(2 * time.Millisecond)
		return nil
	}))
	require.EqualValues(t, 1, held.Load())
	require.GreaterOrEqual(t, x.deadline.Sub(before), 2*time.Millisecond)
	deadline, _ := x.Request.Context().Deadline()
	require.Equal(t, x.deadline, deadline)
	require.Error(t, first.Err(), "nothing of the time before is left over")
	require.NoError(t, x.Request.Context().Err())

	full := errors.New("full")
	x.admit = func(*Exchange) error { return full }
	require.ErrorIs(t, x.Aside(func(context.Context) error { return nil }), full)
	require.Zero(t, held.Load())
	x.admit = take
	require.NoError(t, x.Aside(func(context.Context) error { return nil }))
	require.Zero(t, held.Load(), "who held none gets none")
	x.end()
	require.Zero(t, held.Load())
}

// A request that was admitted to a service leaves it while it waits aside, and is admitted again afterwards. So requests that waited for a restart do
// not all start at once.
func TestAside_entersTheServiceAgain(t *testing.T) {
	x := begun(time.Hour, 0)
	defer func() { x.stop() }()
	inside := 0
	enter := func(x *Exchange) error {
		inside++
		x.OnAnswered(func(int, error) { inside-- })
		return nil
	}
	x.enter = enter
	wait := func(context.Context) error { require.Zero(t, inside); return nil }
	require.NoError(t, x.Aside(wait))
	require.Zero(t, inside, "who was not let in before is not now")
	require.NoError(t, enter(x))
	require.NoError(t, x.Aside(wait))
	require.Equal(t, 1, inside)
	busy := errors.New("busy")
	x.enter = func(*Exchange) error { return busy }
	require.ErrorIs(t, x.Aside(wait), busy)
	x.end()
	require.Zero(t, inside)
}

// A service limits a request to the remaining time that its gateway reports. The header is ignored from other senders.
func TestBegin_endsWithTheTimeOfATrustedProxy(t *testing.T) {
	for _, c := range []struct {
		said  []string
		proxy bool
		want  time.Duration
	}{
		{[]string{"1500"}, true, 1500 * time.Millisecond}, {[]string{"1500"}, false, time.Minute}, {nil, true, time.Minute},
		{[]string{"90000"}, true, time.Minute}, {[]string{"-1"}, true, time.Minute}, {[]string{"99999999999999"}, true, time.Minute},
		{[]string{"1", "2"}, true, time.Minute}, {[]string{"1s"}, true, time.Minute},
	} {
		p := peer{netip.MustParseAddr("127.0.0.1"), c.proxy}
		x := begun(time.Minute, p.timeLeft(&http.Request{Header: http.Header{TimeoutHeader: c.said}}))
		require.InDelta(t, c.want.Seconds(), x.TimeLeft().Seconds(), 1, "%v", c)
		x.stop()
	}
}
