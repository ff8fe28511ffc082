// Package lifecycle runs a service from start to end: it answers health checks from the first moment, reports why it is not ready while it waits for
// dependencies, becomes ready, drains, and closes what it opened. A service's Run then contains only what is its own:
//
//	life, err := lifecycle.New("search", c.Service)
//	...
//	life.Identify(source, client) // its credential at the kms, from Enrol, and the kms's revocation feed
//	life.Go("work", s.work)     // parts: each ends soon after its context
//	return life.Serve(ctx, lifecycle.Door{Keys: keys, Mount: s.handlers.Mount})
//
//	func (s *service) work(ctx context.Context) error {
//		db, err := s.life.Database(ctx, schema)            // waits for it
//		...
//		err = s.life.Await(ctx, "the kms", s.getDataKey)   // tried again until it succeeds
//		...
//		s.life.Started(ctx)
//		return s.life.Every(time.Minute, "remove old rows", s.sweep)(ctx)
//	}
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/runner"
	"github.com/fountainai/fountain/internal/store"
)

// Service is one service from its start to its end. Require, Prove, Identify, Go and Cleanup are called before Serve; Ready may be called at any
// time; Database, Await, Started and Every are called by its parts.
type Service struct {
	Contract *contract.Contract // of the service's word
	// Apply handles what an entry of the revocation feed demands besides revoking tokens. Set it before Identify; nil: nothing.
	Apply func(ctx context.Context, e revocation.Entry) error

	word       string
	config     config.Service
	group      runner.Group
	conditions []func() error
	proofs     []proof
	proving    singleflight.Group // of proofs
	readiness  readiness
	why        atomic.Pointer[string] // why the service can't work yet; nil once it has started
	draining   atomic.Bool
	db         *store.DB // set by Database, closed after every part has ended
	failures   *prometheus.CounterVec
	notReady   *prometheus.GaugeVec // by why
	chain      chan *audit.Chain    // one, when it is open
	keeper     *audit.Keeper        // of the chain; nil before
	witness    witness

	revocations *revocation.Follower // set by Identify
	feedRead    <-chan struct{}      // closed when the feed was first read; nil without Identify
}

// New returns the service of a word. The configuration must be complete and valid.
func New(word string, c config.Service) (*Service, error) {
	if err := config.CheckDataDir(c.DataDir); err != nil {
		return nil, err
	}
	compiled, err := contract.Load(word)
	if err != nil {
		return nil, err
	}
	s := &Service{Contract: compiled, word: word, config: c, chain: make(chan *audit.Chain, 1)}
	s.failures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_background_failures_total", Help: "Failures of work that no request waits for, by what was to be done.",
	}, []string{"work"})
	register(c, s.failures)
	s.notReady = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fountain_not_ready", Help: "1 for the reason why the service is not ready, as it found within the last seconds; 0 for every other reason, and for all when it is ready.",
	}, []string{"because"})
	register(c, s.notReady)
	s.setWaiting("it is starting")
	s.Cleanup("database", s.closeDatabase)
	s.Cleanup("audit chain", s.closeAudit)
	s.Go("audit chain", s.keepAudit)
	return s, nil
}

func (s *Service) setWaiting(sentence string) { s.why.Store(&sentence) }

// Require makes the service not ready while condition returns an error, whose text says why in words that may be published. Conditions are evaluated
// in the order in which they were added.
func (s *Service) Require(condition func() error) { s.conditions = append(s.conditions, condition) }

// Go adds a part. A part that returns an error or panics ends the service; one that returns nil ends alone. The error of an ended ctx does not count.
func (s *Service) Go(name string, run func(ctx context.Context) error) {
	s.group.Go(name, func(ctx context.Context) error {
		err := run(ctx)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return err
	})
}

// Cleanup adds a function that runs after every part has ended and before the database is closed. The last one added runs first.
func (s *Service) Cleanup(name string, do func() error) { s.group.Cleanup(name, do) }

// checkConditions returns why the service cannot work, in words that may be published, or nil when it can. A service that is stopping still can: it answers
// requests that arrive before its peers have noticed, so that a restart fails no request.
func (s *Service) checkConditions() error {
	for _, condition := range s.conditions {
		if err := condition(); err != nil {
			return err
		}
	}
	if why := s.why.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

// Started makes the service ready, as far as its conditions hold, and notifies the log and the program. attributes are added to the log line. It
// waits for the revocation feed, because no token is accepted without it.
func (s *Service) Started(ctx context.Context, attributes ...any) {
	if s.feedRead != nil {
		s.setWaiting("it waits for the revocation feed")
		select {
		case <-s.feedRead:
		case <-ctx.Done():
			return
		}
	}
	s.why.Store(nil)
	s.config.Log.InfoContext(ctx, "service is ready", attributes...)
	s.config.OnReady()
}

// Door configures how a service answers requests.
type Door struct {
	Keys   auth.KeySource // of the access tokens
	Issuer func() string  // of the access tokens; nil: the configured one
	// Revocations knows which access tokens were revoked; nil: the kms's feed, which Identify follows.
	Revocations auth.Revocations
	Mount       func(router chi.Router) // puts the operations under the contract's base path
}

// Serve listens and runs every part until ctx ends; then it drains, closes everything and returns nil. It fails when the address is in use or a part
// fails.
func (s *Service) Serve(ctx context.Context, door Door) error {
	c := s.config
	if door.Issuer == nil {
		door.Issuer = func() string { return c.Issuer }
	}
	if door.Revocations == nil && s.revocations != nil {
		door.Revocations = s.revocations
	}
	if kept, ok := door.Keys.(interface {
		Renew(ctx context.Context) error
	}); ok && s.revocations != nil {
		s.revocations.RenewKeys = kept.Renew // no part runs yet
	}
	verifier := auth.NewVerifier(auth.VerifierConfig{Issuer: door.Issuer, Keys: door.Keys, Revocations: door.Revocations, Clock: c.Clock})
	handler := httpserver.New(httpserver.Options{
		Contract: s.Contract, Verifier: verifier,
		Log: c.Log, Registerer: c.Registerer, Clock: c.Clock, Ready: s.checkConditions, TrustedProxies: c.ProxyPrefixes(), AccessLog: c.AccessLog,
		Tracer: c.Tracer,
		Hosts:  httpserver.NewHosts(true, c.Names(s.Contract.Word)...), Mount: door.Mount,
	})
	listener := c.Listener
	if listener == nil {
		var err error
		if listener, err = httpserver.Listen(context.Background(), c.Addr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	s.Go("serve", func(ctx context.Context) error {
		return httpserver.Serve(ctx, listener, handler, httpserver.ServeOptions{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Log: c.Log,
			Draining: func() { s.draining.Store(true) }, DrainDelay: c.DrainDelay, Grace: c.Grace,
			Announced: func() bool { return s.why.Load() == nil },
		})
	})
	s.Go("readiness", s.watchReadiness)
	return s.group.Run(ctx)
}
