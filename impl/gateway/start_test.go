package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
)

// starting is a door with a gateway's start, and answers 204 to requests that pass it.
type starting struct {
	*start
	door http.Handler
}

func newStarting(t *testing.T) *starting {
	table, err := contract.NewTable(family(t)...)
	require.NoError(t, err)
	s := &starting{start: &start{}}
	s.door = httpserver.NewDoor(httpserver.DoorOptions{
		ObserveOptions: httpserver.ObserveOptions{Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Clock: clock.NewFake(time.Unix(0, 0))},
		Routes:         table,
		Stations: httpserver.Stations{Authenticate: s.await, Serve: func(x *httpserver.Exchange) error {
			x.Writer.WriteHeader(http.StatusNoContent)
			return nil
		}},
	})
	return s
}

// ask sends a request and returns a channel for the status of its answer.
func (s *starting) ask(ctx context.Context, path string) <-chan int {
	status := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		s.door.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		status <- w.Code
	}()
	return status
}

// answered returns the status of a request that should not wait now, or 0.
func answered(status <-chan int) int {
	synctest.Wait()
	select {
	case code := <-status:
		return code
	default:
		return 0
	}
}

func TestStart_letsRequestsWaitUntilTheGatewayIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarting(t)
		s.begin()
		first, second := s.ask(t.Context(), createPath), s.ask(t.Context(), createPath)
		require.Zero(t, answered(first))
		require.Zero(t, answered(second))
		require.EqualValues(t, 2, s.waiting.Load())
		require.Equal(t, http.StatusNoContent, answered(s.ask(t.Context(), "/gateway/v1/services")), "what the gateway answers itself waits for nothing")
		require.Equal(t, http.StatusNoContent, answered(s.ask(t.Context(), "/kms/v1/.well-known/jwks.json")), "nor does what needs no caller")
		s.end()
		require.Equal(t, http.StatusNoContent, answered(first))
		require.Equal(t, http.StatusNoContent, answered(second))
		require.Equal(t, http.StatusNoContent, answered(s.ask(t.Context(), createPath)))
		require.Zero(t, s.waiting.Load())
		time.Sleep(upstream.Patience) // of the bubble's clock: what begin began comes to its end
	})
}

// If the gateway does not become ready, waiting and later requests are refused after a while for what is missing.
func TestStart_losesItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarting(t)
		s.begin()
		time.Sleep(upstream.Patience - time.Second)
		waits := s.ask(t.Context(), createPath)
		require.Zero(t, answered(waits))
		time.Sleep(time.Second)
		require.Equal(t, http.StatusNoContent, answered(waits), "patience is counted from the start of the gateway")
		require.Equal(t, http.StatusNoContent, answered(s.ask(t.Context(), createPath)))
	})
}

func TestStart_forgetsAClientThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarting(t)
		s.begin()
		ctx, leave := context.WithCancel(t.Context())
		waits := s.ask(ctx, createPath)
		require.Zero(t, answered(waits))
		leave()
		require.NotEqual(t, http.StatusNoContent, answered(waits))
		require.Zero(t, s.waiting.Load())
		time.Sleep(upstream.Patience)
	})
}

func TestStart_letsABoundedNumberWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarting(t)
		s.begin()
		s.waiting.Store(maxStarting - 1)
		last := s.ask(t.Context(), createPath)
		require.Zero(t, answered(last))
		require.Equal(t, http.StatusNoContent, answered(s.ask(t.Context(), createPath)), "one too many goes on at once")
		require.EqualValues(t, maxStarting, s.waiting.Load())
		s.end()
		require.Equal(t, http.StatusNoContent, answered(last))
		time.Sleep(upstream.Patience)
	})
}

func TestStart_ofNoGatewayLetsNothingWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarting(t)
		require.Equal(t, http.StatusNoContent, answered(s.ask(t.Context(), createPath)))
	})
}
