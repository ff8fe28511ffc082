package httpserver

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// silentFor is how long a connection may have said nothing when the drain ends it.
const silentFor = 500 * time.Millisecond

// silentConns are the connections on which no request has begun. HTTP clients open such in advance, and http.Server.Shutdown
// waits 5 s for each, in case a request is on its way.
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

// end closes those that stay silent, until done is closed.
func (s *silentConns) end(done <-chan struct{}) {
	ticker := time.NewTicker(silentFor / 10)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		for c, since := range s.since {
			if time.Since(since) >= silentFor {
				_ = c.Close() // nobody waits for anything on it
			}
		}
		s.mu.Unlock()
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}
