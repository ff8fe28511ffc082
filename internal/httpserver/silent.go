package httpserver

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// How long a connection may have been silent before the drain closes it: as long as the delay before, within these bounds. A client that keeps its
// unused connections for a shorter time sends no request on a connection that is being closed.
const (
	leastSilence = 500 * time.Millisecond
	mostSilence  = 3 * time.Second
)

// silentConns are the connections on which no request has arrived. http.Server.Shutdown loses the first request of such a connection when it is in
// transit as the shutdown begins, and waits 5 s for one that does not come: HTTP clients open connections in advance.
type silentConns struct {
	mu    sync.Mutex
	since map[net.Conn]time.Time
}

// track is the server's ConnState hook.
func (s *silentConns) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.since[c] = time.Now()
	} else {
		delete(s.since, c)
	}
}

// settle waits until there are none, after the listener was closed. Connections that stay silent for longer than patience are closed.
func (s *silentConns) settle(ctx context.Context, patience time.Duration) {
	ticker := time.NewTicker(patience / 50)
	defer ticker.Stop()
	for !s.none(patience) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *silentConns) none(patience time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, since := range s.since {
		if time.Since(since) >= patience {
			_ = c.Close() // nothing waits on it
		}
	}
	return len(s.since) == 0
}
