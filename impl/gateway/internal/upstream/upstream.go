// Package upstream sends requests to the services behind the gateway over connections of its own. A service has one target or several; a
// request goes to the less busy of two that are ready. Nothing is sent twice that may have been done once, unless it may be repeated: a refused
// connection is tried elsewhere for any request, a connection that broke before the first byte of an answer for idempotent ones.
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

// What bounds the connections, the waiting and the repeating. None of it is a setting: each is far from what works well and from what hurts.
const (
	maxOpen     = 2048             // connections to one target, which is as many requests as it is given at a time
	maxIdle     = 256              // of them without a request
	idleTime    = 50 * time.Second // below the 60 s after which servers commonly close
	dialTime    = 2 * time.Second
	tlsTime     = 5 * time.Second
	maxWaiting  = 1024 // requests that wait for one service
	maxHead     = 64 << 10
	maxFields   = 128
	maxInterim  = 8 // 1xx answers before the one that counts
	maxTrailers = 4 << 10
)

// Patience is how long a service may be without a target before requests stop waiting for it: a restart takes less.
const Patience = 5 * time.Second

// Errors of Do and Wait.
var (
	// ErrUnavailable says that no target of the service is ready, and that nothing was sent.
	ErrUnavailable = errors.New("no target of the service is ready")
	// ErrFull says that the target has as many requests as it is given at a time.
	ErrFull = errors.New("the target has too many requests")
	// ErrOpen says that the service has not answered requests of the operation in time again and again, and is left alone with them for a while.
	ErrOpen = errors.New("the service does not answer this operation in time and is left alone with it")
	// ErrTooLarge says that an answer is larger than it may be.
	ErrTooLarge = errors.New("the answer is larger than allowed")
)

// DialError says that no connection was made: nothing was sent.
type DialError struct{ cause error }

func (e *DialError) Error() string { return "connect to the target: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.cause }

// BrokenError says that the connection ended after the request was begun and before the first byte of an answer: nobody knows whether the
// request was done.
type BrokenError struct{ cause error }

func (e *BrokenError) Error() string {
	return "the connection ended before an answer: " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.cause }

// starvedError is why a request has failed whose streamed body did not come, or not in time: that says nothing of the target.
type starvedError struct{ cause error }

func (e *starvedError) Error() string { return "the body did not come: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *starvedError) Unwrap() error { return e.cause }

// Options configure a Set.
type Options struct {
	Targets    map[string][]*url.URL // scheme and host of each target, by the service's word
	TLS        *tls.Config           // for https targets
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Dial connects to an address; net.Dialer.DialContext is one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Set is all services. It is safe for concurrent use.
type Set struct {
	tls *tls.Config
	log *slog.Logger

	changing sync.Mutex
	services atomic.Pointer[map[string]*Service] // by word; never changed in place
}

// New makes a Set. Its targets get requests until somebody reports that they are not ready.
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

// Service returns the service of a word, or nil.
func (s *Set) Service(word string) *Service { return (*s.services.Load())[word] }

// Put makes these the targets of a service. dial connects to them; nil is a plain net.Dialer. A service that has just these targets stays as it
// is, with its connections and what is known of its health. Requests under way at the targets before are ended by nothing.
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

// Remove takes a service away. Requests under way there are ended by nothing.
func (s *Set) Remove(word string) {
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.Service(word)
	s.replace(word, nil)
	before.retire()
}

// replace is called with the lock.
func (s *Set) replace(word string, by *Service) {
	services := maps.Clone(*s.services.Load())
	if services[word] = by; by == nil {
		delete(services, word)
	}
	s.services.Store(&services)
}
