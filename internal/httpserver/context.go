package httpserver

import (
	"context"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/requestid"
)

type exchangeKey struct{}

// exchangeContext is the context of a request. Its values are the exchange, the principal and the request ID. It wraps net/http's context, which ends
// when the client disconnects; once the operation is known it also ends at the operation's deadline. Many requests never use Done, and so do not pay
// for its channel.
type exchangeContext struct {
	context.Context
	x   *Exchange
	end time.Time // deadline of the operation; zero: not known yet

	mu     sync.Mutex
	timed  context.Context // Context with the deadline; nil: Done was not called
	cancel context.CancelFunc
	over   bool // finish was called
}

// Deadline implements context.Context.
func (c *exchangeContext) Deadline() (time.Time, bool) {
	if c.end.IsZero() {
		return c.Context.Deadline()
	}
	return c.end, true
}

// Done implements context.Context.
func (c *exchangeContext) Done() <-chan struct{} {
	if c.end.IsZero() {
		return c.Context.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.end)
		if c.over {
			c.cancel()
		}
	}
	return c.timed.Done()
}

// Err implements context.Context.
func (c *exchangeContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed != nil {
		return c.timed.Err()
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	switch {
	case c.over:
		return context.Canceled
	case !c.end.IsZero() && !time.Now().Before(c.end):
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Contexts that are derived from this one find in timed the context that they propagate from.
func (c *exchangeContext) Value(key any) any {
	switch key.(type) {
	case exchangeKey:
		return c.x
	case requestid.Key:
		return &c.x.requestID[0]
	case requestid.ClientKey:
		return c.x.ClientIP
	case auth.PrincipalKey:
		if c.x.Principal != nil {
			return c.x.Principal
		}
	}
	if key == chi.RouteCtxKey && c.x.route != nil {
		return c.x.route
	}
	c.mu.Lock()
	inside := c.timed
	c.mu.Unlock()
	if inside == nil {
		inside = c.Context
	}
	return inside.Value(key)
}

// finish ends the context.
func (c *exchangeContext) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Watch calls f in a goroutine of its own when the context ends, like context.AfterFunc, at lower cost. stop must be called once; it prevents the
// call and reports whether f was not called and never will be.
func (c *exchangeContext) Watch(f func()) (stop func() bool) {
	if c.end.IsZero() {
		return context.AfterFunc(c.Context, f)
	}
	a, ok := alarms.Get().(*alarm)
	if !ok {
		a = &alarm{}
		a.ring, a.stop = a.call, a.end
	}
	return a.set(c, f)
}

// alarm calls a function at the deadline of a context or when its client disconnects. Alarms that have fired are not reused.
type alarm struct {
	timer  *time.Timer
	client func() bool // stops watching the client
	once   sync.Once
	f      func()

	ring func()      // method value of call, made once
	stop func() bool // method value of end, made once
}

var alarms sync.Pool

func (a *alarm) set(c *exchangeContext, f func()) (stop func() bool) {
	a.f = f
	a.client = context.AfterFunc(c.Context, a.ring)
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(c.end), a.ring)
	} else {
		a.timer.Reset(time.Until(c.end))
	}
	return a.stop
}

func (a *alarm) call() { a.once.Do(a.f) }

// end makes an alarm reusable that has not fired and never will. It reports whether that is so.
func (a *alarm) end() bool {
	quiet := a.timer.Stop()
	quiet = a.client() && quiet
	if quiet {
		a.f, a.client = nil, nil
		alarms.Put(a)
	}
	return quiet
}
