// Package kms is the authority of the family: users and their sessions, services and their keys, tokens and the keys that sign
// them, secrets, and the data keys that the other services seal with.
package kms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/runner"
	"github.com/fountainai/fountain/internal/store"
)

// Run serves until ctx ends, then drains and returns nil. It answers health from the first moment on and waits for a database that is
// not there yet; a wrong configuration, root key or issuer is an error, and changes nothing.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of kms: %w", err)
	}
	document, err := contract.Load(handlers.Word)
	if err != nil {
		return err
	}
	listener := c.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", c.Addr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	s := &service{config: c, contract: document}
	s.handlers = &handlers.Handlers{Contract: document, Clock: c.Clock, Version: c.Version, Ready: s.ready}
	return s.run(ctx, listener)
}

// service is the running service.
type service struct {
	config   Config
	contract *contract.Contract
	handlers *handlers.Handlers
	core     atomic.Pointer[core]
	draining atomic.Bool
}

// ready says in public words why the service can't work; nil when it can.
func (s *service) ready() error {
	switch {
	case s.draining.Load():
		return errors.New("it is stopping")
	case s.core.Load() == nil:
		return errors.New("it waits for its database")
	}
	return nil
}

func (s *service) run(ctx context.Context, listener net.Listener) error {
	c := s.config
	verifier := auth.NewVerifier(auth.VerifierConfig{Issuer: s.issuer, Keys: keys{s}, Clock: c.Clock})
	handler := httpserver.New(httpserver.Options{
		Contract: s.contract, Verifier: verifier, Log: c.Log, Registerer: c.Registerer, Clock: c.Clock,
		Ready: s.ready, TrustedProxies: c.ProxyPrefixes(), Mount: s.handlers.Mount,
	})
	var group runner.Group
	group.Cleanup("database", func() error {
		if core := s.core.Load(); core != nil {
			return core.db.Close()
		}
		return nil
	})
	group.Go("serve", func(ctx context.Context) error {
		return httpserver.Serve(ctx, listener, handler, httpserver.ServeOptions{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Log: c.Log,
			Draining: func() { s.draining.Store(true) }, DrainDelay: c.DrainDelay, Grace: c.Grace,
		})
	})
	group.Go("work", s.work)
	return group.Run(ctx)
}

// work builds the domain, as soon as the database is there, and then does what is due in intervals.
func (s *service) work(ctx context.Context) error {
	built, err := s.insist(ctx)
	if err != nil || built == nil {
		return err
	}
	s.handlers.SetCore(built.core)
	s.core.Store(built)
	s.config.Log.InfoContext(ctx, "service is ready", "service", handlers.Word)
	s.config.OnReady()
	return built.tend(ctx)
}

// insist builds the domain; while the database is away it tries again with growing pauses. It returns nil when ctx has ended.
func (s *service) insist(ctx context.Context) (*core, error) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		built, err := build(ctx, s.config)
		if err == nil {
			return built, nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if !errors.Is(err, store.ErrUnavailable) {
			return nil, err
		}
		s.config.Log.WarnContext(ctx, "service is not ready yet", "service", handlers.Word, "error", err)
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(pause):
		}
	}
}

func (s *service) issuer() string {
	if core := s.core.Load(); core != nil {
		return core.core.Mint.Issuer
	}
	return ""
}
