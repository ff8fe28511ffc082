package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Health is the state of a target.
type Health int32

// The states of a target.
const (
	Unknown  Health = iota // not checked yet: it gets requests
	Ready                  // it gets requests
	Starting               // it answers that it is not ready
	Down                   // it does not answer
)

func (h Health) serves() bool { return h == Unknown || h == Ready }

// String returns the state's name for the log.
func (h Health) String() string { return [...]string{"unknown", "ready", "starting", "down"}[h] }

const (
	ejectAfter   = 5 // consecutive failures
	ejectFor     = 2 * time.Second
	ejectForMost = time.Minute
)

// Target is one address of a service.
type Target struct {
	URL     *url.URL
	service *Service
	address string      // host:port
	tls     *tls.Config // nil: plain
	pool    pool
	state   atomic.Int32 // a Health
	pending atomic.Int64 // requests in progress
	failed  atomic.Int64 // consecutive failures
	fading  atomic.Bool  // it was ready, reports that it is not, and has refused no request yet: it is draining, or lacks something
	retired atomic.Bool  // it has been removed from its service, or its service was removed
	asked   chan struct{}

	mu        sync.Mutex
	doubted   time.Time // when a request last found it not ready
	ejections int       // consecutive ejections
	ejected   bool      // guarded by Service.mu
}

func newTarget(s *Service, u *url.URL, config *tls.Config) *Target {
	t := &Target{URL: u, service: s, asked: make(chan struct{}, 1)}
	t.pool.target = t
	port := u.Port()
	if u.Scheme == "https" {
		t.tls = config.Clone()
		t.tls.ServerName = u.Hostname()
	}
	switch {
	case port != "":
	case t.tls != nil:
		port = "443"
	default:
		port = "80"
	}
	t.address = net.JoinHostPort(u.Hostname(), port)
	return t
}

func (t *Target) health() Health { return Health(t.state.Load()) }

// Asked returns a channel that gets a value when the target's health should be checked at once.
func (t *Target) Asked() <-chan struct{} { return t.asked }

// Report records the health of the target that was checked at asked. A report of Ready is ignored if a request has found the target not ready since then.
func (t *Target) Report(h Health, asked time.Time) {
	t.pool.sweep(idleTime)
	t.mu.Lock()
	outdated := h == Ready && t.doubted.After(asked)
	t.mu.Unlock()
	if !outdated {
		t.become(h, h == Starting && (t.health() == Ready || t.fading.Load()))
	}
}

// markNotReady records that a request has found the target not ready, and triggers a health check at once.
func (t *Target) markNotReady(h Health) {
	t.mu.Lock()
	t.doubted = time.Now()
	t.mu.Unlock()
	t.become(h, false)
	select {
	case t.asked <- struct{}{}:
	default: // a check is already pending
	}
}

func (t *Target) become(h Health, fading bool) {
	faded := t.fading.Swap(fading) != fading
	before := Health(t.state.Swap(int32(h)))
	if before == h && !faded {
		return
	}
	if !h.serves() {
		t.pool.sweep(0)
	}
	t.service.changed(t, before, h)
}

// send sends the request over one connection, which may be an idle one.
func (t *Target) send(ctx context.Context, req *Request) (*Response, error) {
	t.pending.Add(1)
	c, err := t.pool.get(ctx)
	if err != nil {
		t.pending.Add(-1)
		return nil, err
	}
	res, err := c.roundTrip(ctx, t, req)
	if err != nil {
		t.pool.discard(c)
		t.pending.Add(-1)
	}
	return res, err
}

// unreachable reports whether the error says that the target does not accept connections, rather than that the limits of this process or the time of this
// request are exhausted.
func unreachable(err error) bool {
	var dial *DialError
	var network *net.DNSError
	if !errors.As(err, &dial) {
		return false
	}
	var timeout interface{ Timeout() bool }
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.As(err, &network) || errors.As(err, &timeout) && timeout.Timeout()
}

// succeeded and hasFailed count the results of requests.
func (t *Target) succeeded() {
	if t.failed.Load() == 0 {
		return
	}
	t.failed.Store(0)
	t.mu.Lock()
	t.ejections = 0
	t.mu.Unlock()
}

func (t *Target) hasFailed() {
	if t.failed.Add(1) < ejectAfter {
		return
	}
	t.mu.Lock()
	pause := min(ejectFor<<min(t.ejections, 10), ejectForMost)
	t.mu.Unlock()
	if t.service.eject(t, pause) {
		t.mu.Lock()
		t.ejections++
		t.mu.Unlock()
	}
}
