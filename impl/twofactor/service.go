package twofactor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/handlers"
	factorstore "github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/credential"
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
	kms      *kms.Client
	verifier *auth.Verifier
	handlers *handlers.Handlers
	db       *store.DB          // set by work, closed after everything has ended
	answers  *idempotency.Store // set by work
	draining atomic.Bool
	started  atomic.Bool
}

func newService(c Config, client *http.Client, who identity) (*service, error) {
	s := &service{config: c, identity: who}
	var err error
	if s.contract, err = contract.Load(handlers.Word); err != nil {
		return nil, err
	}
	if s.kms, err = kms.NewClient(c.KMSURL+"/kms/v1", kms.WithHTTPClient(client), kms.WithRequestEditorFn(who.Authorize)); err != nil {
		return nil, fmt.Errorf("client of the kms: %w", err)
	}
	s.verifier = auth.NewVerifier(auth.VerifierConfig{
		Issuer: func() string { return c.Issuer }, Keys: auth.NewJWKS(c.JWKSURL, client, c.Clock), Clock: c.Clock,
	})
	s.handlers = &handlers.Handlers{Contract: s.contract, Clock: c.Clock, Version: c.Version, Ready: s.ready}
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
	group.Cleanup("database", s.close)
	group.Go("serve", func(ctx context.Context) error {
		return httpserver.Serve(ctx, listener, handler, httpserver.ServeOptions{
			CertFile: s.config.TLS.CertFile, KeyFile: s.config.TLS.KeyFile, Log: s.config.Log,
			Draining: func() { s.draining.Store(true) }, DrainDelay: s.config.DrainDelay, Grace: s.config.Grace,
		})
	})
	group.Go("credential", s.identity.Run)
	group.Go("work", s.work)
	return group.Run(ctx)
}

func (s *service) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// ready says in public words why the service can't work; nil when it can.
func (s *service) ready() error {
	switch {
	case s.draining.Load():
		return errors.New("it is stopping")
	case !s.started.Load():
		if err := s.identity.Ready(); err != nil {
			return err
		}
		return errors.New("it waits for its database or for the kms")
	}
	return s.identity.Ready()
}

// work brings the service to readiness, and then keeps its tables tidy.
func (s *service) work(ctx context.Context) error {
	if err := s.openStore(ctx); err != nil {
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
	s.config.Log.InfoContext(ctx, "service is ready", "service", handlers.Word)
	s.config.OnReady()
	return s.tidy(ctx, core)
}

// migrations are all that this service's database holds.
var migrations = []fs.FS{audit.Migrations, idempotency.Migrations, credential.Migrations, factorstore.Migrations}

// openStore opens the database. One that does not answer may come later; any other fault ends the service.
func (s *service) openStore(ctx context.Context) error {
	address, err := s.config.DatabaseURL()
	if err != nil {
		return err
	}
	var fault error
	err = s.insist(ctx, func(ctx context.Context) (err error) {
		s.db, err = store.Open(ctx, store.Config{
			URL: address, Dir: s.config.DataDir, Name: handlers.Word, Migrations: migrations, Log: s.config.Log,
		})
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			fault, err = err, nil
		}
		return err
	})
	return errors.Join(fault, err)
}

// start gets the keys and tells the kms the one that signs proofs. Each step may be repeated.
func (s *service) start(ctx context.Context) (*handlers.Core, error) {
	dataKey, err := s.identity.DataKey(ctx, s.db)
	if err != nil {
		return nil, err
	}
	rows := factorstore.New(s.db)
	proofKey, err := rows.ProofKey(ctx, dataKey, s.config.Clock.Now())
	if err != nil {
		return nil, err
	}
	answer, err := s.kms.PutProofKey(ctx, proofKey.ID(), kms.ProofKey{Kty: "OKP", Crv: "Ed25519", X: proofKey.X()})
	if err != nil {
		return nil, fmt.Errorf("register proof key: %w", err)
	}
	_ = answer.Body.Close() // its content says nothing that the status does not
	if answer.StatusCode == http.StatusUnauthorized {
		s.identity.Renew()
	}
	if answer.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("register proof key: the kms answered %d", answer.StatusCode)
	}
	factors, err := factor.New(ctx, factor.Config{
		Repository: rows, Sealer: dataKey, ProofKey: proofKey, Issuer: s.config.OTPIssuer, Random: rand.Reader,
		Clock: s.config.Clock, Log: s.config.Log,
	})
	if err != nil {
		return nil, err
	}
	s.answers = idempotency.New(dataKey, dataKey, s.config.Clock)
	once := func(k idempotency.Key) factor.Once { return factorstore.Once(s.answers, k) }
	return &handlers.Core{Factors: factors, Once: once}, nil
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

// tidyPause is how often kept secrets are blanked and old rows removed.
const tidyPause = time.Minute

// tidy removes, until ctx ends, what nobody may or will ask for any more.
func (s *service) tidy(ctx context.Context, core *handlers.Core) error {
	for {
		err := errors.Join(core.Factors.Sweep(ctx), s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := s.answers.Sweep(ctx, tx)
			return err
		}))
		if err != nil && ctx.Err() == nil {
			s.config.Log.WarnContext(ctx, "old rows were not removed", "error", err)
		}
		if sleep(ctx, tidyPause) != nil {
			return nil
		}
	}
}
