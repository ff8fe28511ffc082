package search

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/enginekey"
	"github.com/fountainai/fountain/impl/search/internal/handlers"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/runner"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// identity is the service's standing at the kms: its credential, and the key that it seals with.
type identity interface {
	Ready() error
	Run(ctx context.Context) error
	Authorize(ctx context.Context, r *http.Request) error // for the kms
	Renew()                                               // the kms refused what Authorize sent
	DataKey(ctx context.Context, db *store.DB) (*seal.Key, error)
}

// service is the running service.
type service struct {
	config   Config
	contract *contract.Contract
	identity identity
	keys     *enginekey.Holder
	verifier *auth.Verifier
	handlers *handlers.Handlers
	db       *store.DB // set by work, closed after everything has ended
	local    *embedded.Engine
	engine   *engine.Engine
	draining atomic.Bool
	started  atomic.Bool
	sick     atomic.Bool // the engine did not answer its last examination
}

func newService(c Config, client *http.Client, who identity) (*service, error) {
	s := &service{config: c, identity: who}
	var err error
	if s.contract, err = contract.Load(handlers.Word); err != nil {
		return nil, err
	}
	vault, err := kms.NewClient(c.KMSURL+"/kms/v1", kms.WithHTTPClient(client), kms.WithRequestEditorFn(who.Authorize))
	if err != nil {
		return nil, fmt.Errorf("client of the kms: %w", err)
	}
	var source enginekey.Source = enginekey.KMS{Client: vault, Make: c.embedded(), Refused: who.Renew}
	if c.EngineKeyFile != "" {
		source = enginekey.File(c.EngineKeyFile)
	}
	s.keys = enginekey.New(source)
	s.verifier = auth.NewVerifier(auth.VerifierConfig{
		Issuer: func() string { return c.Issuer }, Keys: auth.NewJWKS(c.JWKSURL, client, c.Clock), Clock: c.Clock,
	})
	s.handlers = &handlers.Handlers{Contract: s.contract, Version: c.Version, Ready: s.ready}
	return s, nil
}

// run serves until ctx ends, then drains. It answers health from the first moment on, and all else once it is ready.
func (s *service) run(ctx context.Context) error {
	listener := s.config.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", s.config.Addr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	handler := httpserver.New(httpserver.Options{
		Contract: s.contract, Verifier: s.verifier, Log: s.config.Log, Registerer: s.config.Registerer, Clock: s.config.Clock,
		Ready: s.ready, TrustedProxies: s.config.ProxyPrefixes(), Mount: s.handlers.Mount,
	})
	var group runner.Group
	group.Cleanup("database and engine", s.close)
	group.Go("serve", func(ctx context.Context) error {
		return httpserver.Serve(ctx, listener, handler, httpserver.ServeOptions{
			CertFile: s.config.TLS.CertFile, KeyFile: s.config.TLS.KeyFile, Log: s.config.Log,
			Draining: func() { s.draining.Store(true) }, DrainDelay: s.config.DrainDelay, Grace: s.config.Grace,
		})
	})
	group.Go("credential", s.identity.Run)
	group.Go("work", s.work)
	group.Go("engine key", func(ctx context.Context) error {
		return s.keys.Run(ctx, func(err error) {
			s.config.Log.WarnContext(ctx, "key of the search engine was not refreshed", "error", err)
		})
	})
	return group.Run(ctx)
}

func (s *service) close() error {
	var errs []error
	if s.local != nil {
		errs = append(errs, s.local.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// ready says in public words why the service can't work; nil when it can.
func (s *service) ready() error {
	if s.draining.Load() {
		return errors.New("it is stopping")
	}
	if err := s.identity.Ready(); err != nil {
		return err
	}
	if err := s.keys.Ready(); err != nil {
		return err
	}
	switch {
	case !s.started.Load():
		return errors.New("it waits for its database, the kms or the search engine")
	case s.sick.Load():
		return errors.New("the search engine does not answer")
	}
	return nil
}

// work brings the service to readiness, and then watches the engine and keeps the tables tidy.
func (s *service) work(ctx context.Context) error {
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.openEngine(); err != nil {
		return err
	}
	var core *handlers.Core
	err := s.insist(ctx, func(ctx context.Context) (err error) {
		core, err = s.start(ctx)
		return err
	})
	if err != nil {
		return nil // ctx has ended
	}
	s.handlers.SetCore(core)
	s.started.Store(true)
	s.config.Log.InfoContext(ctx, "service is ready", "service", handlers.Word, "embedded", s.config.embedded())
	s.config.OnReady()
	return s.watch(ctx, core)
}

// openStore opens the database. One that does not answer may come later; any other fault ends the service.
func (s *service) openStore(ctx context.Context) error {
	address, err := s.config.DatabaseURL()
	if err != nil {
		return err
	}
	var fault error
	err = s.insist(ctx, func(ctx context.Context) (err error) {
		s.db, err = store.Open(ctx, store.Config{
			URL: address, Dir: s.config.DataDir, Name: handlers.Word, Migrations: searchstore.Migrations, Log: s.config.Log,
		})
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			fault, err = err, nil
		}
		return err
	})
	return errors.Join(fault, err)
}

// openEngine opens the embedded engine, or prepares to talk to a Typesense. Both are spoken to in the same way.
func (s *service) openEngine() error {
	address, doer := s.config.EngineURL, tsclient.Doer(nil)
	if s.config.embedded() {
		var err error
		s.local, err = embedded.Open(embedded.Config{
			Dir: filepath.Join(s.config.DataDir, "engine"), Key: s.keys.Accepts, Log: s.config.Log, Limits: s.config.limits(), Clock: s.config.Clock,
		})
		if err != nil {
			return err
		}
		address, doer = "http://embedded", tsclient.InProcess(s.local)
	} else {
		transport, err := httpclient.NewTransport(s.config.EngineCAFile)
		if err != nil {
			return err
		}
		doer = tsclient.OverHTTP(transport)
	}
	client, err := tsclient.New(address, doer, s.keys.Key, tsclient.Deadlines{})
	if err != nil {
		return err
	}
	s.engine = engine.New(client, s.keys)
	return nil
}

// start gets the keys and waits for the engine. Each step may be repeated.
func (s *service) start(ctx context.Context) (*handlers.Core, error) {
	if err := s.identity.Ready(); err != nil {
		return nil, err
	}
	dataKey, err := s.identity.DataKey(ctx, s.db)
	if err != nil {
		return nil, err
	}
	if err := s.keys.Refresh(ctx); err != nil {
		return nil, err
	}
	if err := s.engine.Healthy(ctx); err != nil {
		return nil, err
	}
	answers := idempotency.New(dataKey, dataKey, s.config.Clock)
	return &handlers.Core{Engine: s.engine, Store: searchstore.New(s.db, answers, s.config.Clock)}, nil
}

const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// insist calls do until it succeeds, with growing pauses; it fails only when ctx ends.
func (s *service) insist(ctx context.Context, do func(ctx context.Context) error) error {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		level := s.config.Log.WarnContext
		if pause < longestPause {
			level = s.config.Log.DebugContext
		}
		level(ctx, "service is not ready yet", "service", handlers.Word, "error", err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	examineEvery = 5 * time.Second
	tidyEvery    = time.Minute
)

// watch examines the engine and removes, until ctx ends, what nobody may ask for any more.
func (s *service) watch(ctx context.Context, core *handlers.Core) error {
	tidied := time.Now()
	for sleep(ctx, examineEvery) == nil {
		err := s.engine.Healthy(ctx)
		if sick := err != nil; s.sick.Swap(sick) != sick && ctx.Err() == nil {
			s.config.Log.WarnContext(ctx, "state of the search engine changed", "sick", sick, "error", err)
		}
		if time.Since(tidied) < tidyEvery {
			continue
		}
		tidied = time.Now()
		if err := core.Store.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.config.Log.WarnContext(ctx, "old rows were not removed", "error", err)
		}
	}
	return nil
}
