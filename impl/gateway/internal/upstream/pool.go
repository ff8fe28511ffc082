package upstream

import (
	"context"
	"sync"
	"time"
)

// pool holds the connections to one target. It reuses the most recently used one first, so that superfluous ones reach their idle timeout.
type pool struct {
	target *Target

	mu   sync.Mutex
	idle []*conn // least recently used first
	open int     // all connections, idle or not
}

// get returns an idle connection that is still usable, or a new one.
func (p *pool) get(ctx context.Context) (*conn, error) {
	for {
		c, err := p.take()
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		if time.Since(c.idle) < idleTime && c.alive() {
			return c, nil
		}
		p.discard(c)
	}
	c, err := p.target.dial(ctx)
	if err != nil {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// take returns the most recently used idle connection. If there is none it returns nil, and counts a new connection that the caller must open.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		c := p.idle[last]
		p.idle[last], p.idle = nil, p.idle[:last]
		return c, nil
	}
	if p.open >= maxOpen {
		return nil, ErrFull
	}
	p.open++
	return nil, nil
}

// put keeps a connection for the next request. It closes it if there are enough, or if the target gets no requests.
func (p *pool) put(c *conn) {
	c.rest(time.Now())
	p.mu.Lock()
	if len(p.idle) < maxIdle && p.target.health().serves() && !p.target.retired.Load() {
		p.idle = append(p.idle, c)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.discard(c)
}

// discard closes a connection.
func (p *pool) discard(c *conn) {
	_ = c.Close() // its error does not matter
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
}

// sweep closes the connections that have been idle for age or longer.
func (p *pool) sweep(age time.Duration) {
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && time.Since(p.idle[old].idle) >= age {
		_ = p.idle[old].Close() // its error does not matter
		old++
	}
	rest := copy(p.idle, p.idle[old:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	p.open -= old
	p.mu.Unlock()
}

// count returns the number of open connections and of idle ones among them.
func (p *pool) count() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle)
}
