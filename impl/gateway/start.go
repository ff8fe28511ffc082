package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/httpserver"
)

// maxStarting bounds the requests that wait for the gateway to become ready.
const maxStarting = 1024

// start makes requests wait that arrive before the gateway can authorize them, until it can, for at most upstream.Patience after the start.
// After that, or when too many are waiting, they proceed and are refused for what is missing. With the zero value no request waits.
type start struct {
	ended   chan struct{} // closed when the gateway is ready; nil: no request waits
	until   chan struct{} // closed when Patience is over
	waiting atomic.Int64
}

// begin must be called once, before the first request.
func (s *start) begin() {
	s.ended, s.until = make(chan struct{}), make(chan struct{})
	time.AfterFunc(upstream.Patience, func() { close(s.until) })
}

// end must be called once, when the gateway is ready.
func (s *start) end() { close(s.ended) }

// await waits if necessary. It returns an error only if the client has disconnected.
func (s *start) await(x *httpserver.Exchange) error {
	select {
	case <-s.ended:
		return nil
	case <-s.until:
		return nil
	default:
	}
	if s.ended == nil || x.Operation.Public || x.Operation.Word == word {
		return nil
	}
	if s.waiting.Add(1) > maxStarting {
		s.waiting.Add(-1)
		return nil
	}
	defer s.waiting.Add(-1)
	return x.Aside(func(ctx context.Context) error {
		select {
		case <-s.ended:
		case <-s.until:
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	})
}
