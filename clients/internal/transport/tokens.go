package transport

import (
	"context"
	"sync"
	"time"
)

// Token is an access token and when it ends.
type Token struct {
	Value  string
	Expiry time.Time
	Fresh  time.Time // until when it is used without asking for the next one
}

// Cache holds one token per key and gets missing ones through fetch: one fetch per key at a time, in the goroutine of the
// first caller and under its context; the others wait for it.
type Cache struct {
	fetch func(ctx context.Context, key string) (Token, error)
	now   func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	token  Token
	flight *flight
}

type flight struct {
	done      chan struct{}
	token     Token
	err       error
	abandoned bool // the caller that fetched gave up; whoever waited tries itself
}

// NewCache returns an empty cache.
func NewCache(now func() time.Time, fetch func(ctx context.Context, key string) (Token, error)) *Cache {
	return &Cache{fetch: fetch, now: now, entries: make(map[string]*entry)}
}

// Get returns the key's token, fetched if there is none that is fresh. While a token is no more fresh but still good, a
// failing fetch gives the good one, and callers beside the fetching one get it without waiting.
func (c *Cache) Get(ctx context.Context, key string) (Token, error) {
	for {
		c.mu.Lock()
		e := c.entry(key)
		now := c.now()
		if e.token.Value != "" && now.Before(e.token.Fresh) {
			token := e.token
			c.mu.Unlock()
			return token, nil
		}
		good := e.token.Value != "" && now.Before(e.token.Expiry)
		if e.flight == nil {
			f := &flight{done: make(chan struct{})}
			e.flight = f
			old := e.token
			c.mu.Unlock()
			token, err := c.fly(ctx, key, f)
			if err != nil && good {
				return old, nil
			}
			return token, err
		}
		f, old := e.flight, e.token
		c.mu.Unlock()
		if good {
			return old, nil
		}
		select {
		case <-f.done:
			if f.abandoned && ctx.Err() == nil {
				continue
			}
			return f.token, f.err
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	}
}

// fly fetches for f and tells the waiting; a panic of fetch leaves nobody waiting.
func (c *Cache) fly(ctx context.Context, key string, f *flight) (Token, error) {
	f.abandoned = true
	defer func() {
		c.mu.Lock()
		e := c.entry(key)
		if e.flight == f { // not cleared meanwhile
			e.flight = nil
			if !f.abandoned && f.err == nil {
				e.token = f.token
			}
		}
		c.mu.Unlock()
		close(f.done)
	}()
	f.token, f.err = c.fetch(ctx, key)
	f.abandoned = f.err != nil && ctx.Err() != nil
	return f.token, f.err
}

// Peek returns the key's token if it is fresh, without fetching.
func (c *Cache) Peek(key string) (Token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || e.token.Value == "" || !c.now().Before(e.token.Fresh) {
		return Token{}, false
	}
	return e.token, true
}

// Drop forgets the token of this value, and no newer one; false means that there is none.
func (c *Cache) Drop(value string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for _, e := range c.entries {
		if value != "" && e.token.Value == value {
			e.token, found = Token{}, true
		}
	}
	return found
}

// Clear forgets everything; a fetch under way does not store its token.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

func (c *Cache) entry(key string) *entry {
	e, ok := c.entries[key]
	if !ok {
		e = &entry{}
		c.entries[key] = e
	}
	return e
}
