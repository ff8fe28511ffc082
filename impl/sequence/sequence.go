// Package sequence gives the elements of a scope their numbers, without a gap, and keeps their versions. Every change reaches the
// search service through the outbox.
package sequence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/handlers"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/runner"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
)

// migrations are all that this service's database holds.
var migrations = []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, credential.Migrations, store.Migrations}

// Run serves until ctx ends, then drains. It starts whether or not the other services are there, and waits for them.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of the sequence service: %w", err)
	}
	client, err := httpclient.New(c.TLS.CAFile, callTimeout)
	if err != nil {
		return err
	}
	source, err := credential.Open(credential.Config{
		Word: word, Dir: c.DataDir, EnrolTokenFile: c.EnrolTokenFile, KMSURL: c.KMSURL, HTTPClient: client, Clock: c.Clock, Log: c.Log,
	})
	if err != nil {
		return err
	}
	return run(ctx, c, client, enrolled{source})
}

// enrolled is the identity of a service that the kms knows.
type enrolled struct{ *credential.Source }

// DataKey implements identity.
func (e enrolled) DataKey(ctx context.Context, db *database.DB) (*seal.Key, error) {
	return e.Source.DataKey(ctx, db)
}

// identity is who this service is to the others.
type identity interface {
	// Token returns an access token of this service for an audience.
	Token(ctx context.Context, audience string) (string, error)
	// Forget drops a token that was not accepted.
	Forget(audience string)
	// DataKey returns the key that this service seals with; db keeps its wrapped form.
	DataKey(ctx context.Context, db *database.DB) (*seal.Key, error)
	// Ready is nil while the kms accepts this service; else it says why not, in public words.
	Ready() error
	Run(ctx context.Context) error
}

// service is one running sequence service.
type service struct {
	Config
	client   *http.Client
	identity identity
	verify   *auth.JWKS // the kms's keys
	keys     lateKey
	why      atomic.Pointer[string] // why it is not ready; nil: it is
	draining atomic.Bool
	server   *handlers.Server // its parts are there when why is nil
	db       *database.DB
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, c Config, client *http.Client, who identity) error {
	compiled, err := contract.Load(word)
	if err != nil {
		return err
	}
	listener := c.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", c.Addr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	s := &service{Config: c, client: client, identity: who, verify: auth.NewJWKS(c.JWKSURL, client, c.Clock)}
	s.waitFor("it is starting")
	s.server = &handlers.Server{Ready: s.ready, NewID: func() string { return id.New("elm") }, Version: c.Version}
	handler := httpserver.New(httpserver.Options{
		Contract: compiled, Log: c.Log, Registerer: c.Registerer, Clock: c.Clock, Ready: s.ready, TrustedProxies: c.ProxyPrefixes(),
		Verifier: auth.NewVerifier(auth.VerifierConfig{
			Issuer: func() string { return c.Issuer }, Keys: s.verify, Clock: c.Clock,
		}),
		Mount: s.server.Mount(compiled),
	})
	var group runner.Group
	group.Cleanup("database", s.close) // after the last request is answered
	group.Go("serve", func(ctx context.Context) error {
		return httpserver.Serve(ctx, listener, handler, httpserver.ServeOptions{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Log: c.Log,
			Draining: func() { s.draining.Store(true) }, DrainDelay: c.DrainDelay, Grace: c.Grace,
		})
	})
	group.Go("credential", who.Run)
	group.Go("work", s.work)
	return group.Run(ctx)
}

func (s *service) waitFor(what string) { s.why.Store(&what) }

func (s *service) ready() error {
	if s.draining.Load() {
		return errors.New("it is shutting down")
	}
	if why := s.why.Load(); why != nil {
		return errors.New(*why)
	}
	return s.identity.Ready()
}

// work opens what the handlers need, says that the service is ready, and does what is not asked for by requests.
func (s *service) work(ctx context.Context) error {
	s.waitFor("it waits for its database")
	if err := s.open(ctx); err != nil {
		return err
	}
	elements := store.New(s.db)
	syncer, err := searchsync.New(searchsync.Options{
		DB: s.db, Store: elements, URL: s.SearchURL, Client: s.client, Identity: s.identity, Log: s.Log, Registerer: s.Registerer,
	})
	if err != nil {
		return err
	}
	deliverer := outbox.New(s.db, outbox.Options{Batch: searchsync.Batch, Clock: s.Clock, Log: s.Log}, syncer.Deliver)
	s.Registerer.MustRegister(lag{deliverer})
	known := idempotency.New(&s.keys, &s.keys, s.Clock)
	s.server.Store, s.server.Search = elements, syncer
	s.server.Writer = writer.New(writer.Options{
		DB: s.db, Keys: known, Clock: s.Clock, Log: s.Log, Registerer: s.Registerer,
		Enqueue: searchsync.Enqueue, Committed: deliverer.Notify,
	})
	var group runner.Group
	group.Go("become ready", s.becomeReady)
	group.Go("deliver to search", deliverer.Run)
	group.Go("search collection", syncer.Run)
	group.Go("sweep idempotency keys", func(ctx context.Context) error { return s.sweep(ctx, known) })
	return group.Run(ctx)
}

// open opens the database; one that does not answer yet is waited for.
func (s *service) open(ctx context.Context) error {
	address, err := s.DatabaseURL()
	if err != nil {
		return err
	}
	return s.retry(ctx, "open the database", func() error {
		db, err := database.Open(ctx, database.Config{URL: store.Address(address), Dir: s.DataDir, Name: word, Migrations: migrations, Log: s.Log})
		if err == nil {
			s.db = db
		} else if !errors.Is(err, database.ErrUnavailable) {
			return fatal{err}
		}
		return err
	})
}

// becomeReady gets the keys that tokens are verified with and the one that answers are sealed with.
func (s *service) becomeReady(ctx context.Context) error {
	s.waitFor("it waits for the key management service")
	if err := s.retry(ctx, "get the keys of the kms", func() error { return s.verify.Ready(ctx) }); err != nil {
		return err
	}
	err := s.retry(ctx, "get the data key", func() error {
		key, err := s.identity.DataKey(ctx, s.db)
		if err == nil {
			s.keys.key.Store(key)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.why.Store(nil)
	s.Log.InfoContext(ctx, "ready", "service", word)
	s.OnReady()
	return nil
}

// fatal is an error that waiting does not cure.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

const (
	firstPause = 50 * time.Millisecond
	longPause  = 5 * time.Second
)

// retry tries until it succeeds, fails for good, or ctx ends.
func (s *service) retry(ctx context.Context, what string, try func() error) error {
	pause := firstPause
	for {
		err := try()
		var forGood fatal
		if err == nil || errors.As(err, &forGood) {
			return err
		}
		s.Log.WarnContext(ctx, "cannot "+what+" yet", "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, longPause)
	}
}

const sweepEvery = time.Minute

// sweep forgets idempotency keys whose time is over.
func (s *service) sweep(ctx context.Context, known *idempotency.Store) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for removed := int64(1); removed > 0; {
			err := s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) (err error) {
				removed, err = known.Sweep(ctx, tx)
				return err
			})
			if err != nil {
				s.Log.WarnContext(ctx, "cannot sweep idempotency keys", "error", err)
				break
			}
		}
	}
}

// close ends the writer, then the database.
func (s *service) close() error {
	if s.server.Writer != nil {
		s.server.Writer.Close()
	}
	if s.db != nil {
		return s.db.Close()
	}
	return nil
}
