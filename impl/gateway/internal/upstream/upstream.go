// Package upstream sends requests to the services behind the gateway over its own connections. A service has one or more targets; a request goes to the
// less busy one of two ready targets. A request that may have been processed is sent again only if it is repeatable. A refused connection is tried at another
// target for any request; a connection that broke before the first byte of the answer, only for repeatable ones.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The limits of connections, waiting and repeats. They are not configurable: each is well above what normal operation needs and well below what would do
// harm.
const (
	maxOpen     = 2048             // connections per target, and so concurrent requests
	maxIdle     = 256              // idle connections per target
	idleTime    = 50 * time.Second // less than 60 s, after which servers commonly close
	dialTime    = 2 * time.Second
	tlsTime     = 5 * time.Second
	maxWaiting  = 1024 // requests that wait for a target of one service
	maxHead     = 64 << 10
	maxFields   = 128
	maxInterim  = 8 // 1xx answers before the final one
	maxTrailers = 4 << 10
)

// Patience is how long requests wait for a service that has no usable target. It is longer than a restart takes.
const Patience = 5 * time.Second

// Errors of Do and Wait.
var (
	// ErrUnavailable says that no target of the service is ready, and that nothing was sent.
	ErrUnavailable = errors.New("no target of the service is ready")
	// ErrFull says that the target has as many concurrent requests as it may get.
	ErrFull = errors.New("the target has too many requests")
	// ErrOpen says that the breaker of the operation is open: the service has repeatedly not answered its requests in time.
	ErrOpen = errors.New("the service does not answer this operation in time: its circuit is open")
	// ErrTooLarge says that an answer is larger than allowed.
	ErrTooLarge = errors.New("the answer is larger than allowed")
)

// DialError says that no connection could be made, and so nothing was sent.
type DialError struct{ cause error }

func (e *DialError) Error() string { return "connect to the target: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.cause }

// BrokenError says that the connection ended after the request was begun and before the first byte of an answer. It is unknown whether the request was
// processed.
type BrokenError struct{ cause error }

func (e *BrokenError) Error() string {
	return "the connection ended before an answer: " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.cause }

// starvedError is the error of a request whose streamed body did not arrive, or not in time. It says nothing about the target.
type starvedError struct{ cause error }

func (e *starvedError) Error() string { return "the body did not arrive: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *starvedError) Unwrap() error { return e.cause }

// Options configure a Set.
type Options struct {
	Targets    map[string][]*url.URL // scheme and host of each target, by the service's word
	TLS        *tls.Config           // for https targets
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Dial connects to an address, like net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Set has all services. It is safe for concurrent use.
type Set struct {
	tls *tls.Config
	log *slog.Logger

	changing sync.Mutex
	services atomic.Pointer[map[string]*Service] // by word; never changed in place
}

// New returns a Set. Its targets get requests until they are reported as not ready.
func New(o Options) *Set {
	config := o.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.NextProtos = []string{"http/1.1"}
	set := &Set{tls: config, log: o.Log}
	services := map[string]*Service{}
	for word, urls := range o.Targets {
		services[word] = newService(word, urls, config, nil, o.Log)
	}
	set.services.Store(&services)
	o.Registerer.MustRegister(collector{set})
	return set
}

// Service returns the service with a word, or nil.
func (s *Set) Service(word string) *Service { return (*s.services.Load())[word] }

// Put sets the targets of a service. dial connects to them; nil means net.Dialer. A service that already has exactly these targets is kept, with its
// connections and health. Requests in progress at the previous targets are not interrupted.
func (s *Set) Put(word string, urls []*url.URL, dial Dial) *Service {
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.Service(word)
	if before != nil && slices.EqualFunc(before.targets, urls, func(t *Target, u *url.URL) bool { return t.URL.String() == u.String() }) {
		return before
	}
	made := newService(word, urls, s.tls, dial, s.log)
	s.replace(word, made)
	before.retire()
	return made
}

// Remove removes a service. Its requests in progress are not interrupted.
func (s *Set) Remove(word string) {
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.Service(word)
	s.replace(word, nil)
	before.retire()
}

// replace sets or removes (nil) a service. The caller holds the lock.
func (s *Set) replace(word string, by *Service) {
	services := maps.Clone(*s.services.Load())
	if services[word] = by; by == nil {
		delete(services, word)
	}
	s.services.Store(&services)
}
