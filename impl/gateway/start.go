package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/httpserver"
)

// maxStarting bounds the requests that wait for the gateway's own start.
const maxStarting = 1024

// start lets requests that come before the gateway can tell whether they are allowed wait until it can, for at most upstream.Patience from the
// start on. After that, and when too many wait, they go on and are refused for what is missing. The zero value lets nothing wait.
type start struct {
	ended   chan struct{} // closed when the gateway is ready; nil: nothing waits
	until   chan struct{} // closed when patience ends
	waiting atomic.Int64
}

// begin is called once, before the first request.
func (s *start) begin() {
	s.ended, s.until = make(chan struct{}), make(chan struct{})
	time.AfterFunc(upstream.Patience, func() { close(s.until) })
}

// end is called once, when the gateway is ready.
func (s *start) end() { close(s.ended) }

// await waits, and returns an error when the client left.
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
