// Package twofactor is the service of second factors: authenticator apps, codes by mail, SMS and webhook, passkeys and recovery
// codes. It verifies each code once, and issues the proof that the kms trades for a raised access token.
package twofactor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/handlers"
	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
	factorstore "github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

// schema describes the database of the service: its migrations and its tables.
var schema = lifecycle.Schema{
	Migrations: []fs.FS{audit.Migrations, idempotency.Migrations, credential.Migrations, factorstore.Migrations},
	Tables:     slices.Concat(lifecycle.SharedTables, factorstore.Tables),
}

const (
	callTimeout = 10 * time.Second // for a whole call to the kms
	tidyPause   = time.Minute      // between two runs of blanking stored secrets and deleting old rows
)

// Run serves until ctx ends, then finishes the requests that have begun and returns nil. Until what may start later is there, the
// kms and the database among it, the service waits and is not ready. A wrong configuration, an address in use and a database that
// it must not touch are errors.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of twofactor: %w", err)
	}
	client, err := lifecycle.Client(c.Service, callTimeout)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	source, err := lifecycle.Enrol(handlers.Word, c.Service, client)
	if err != nil {
		return err
	}
	return run(ctx, c, client, source)
}

// service is the running service.
type service struct {
	config   Config
	life     *lifecycle.Service
	identity identity
	kms      *kms.Client
	handlers *handlers.Handlers
	keys     *auth.JWKS
	rows     *factorstore.Store             // nil until the database is open
	factors  atomic.Pointer[factor.Service] // nil until the service has started
	sender   *delivery.Router
	metrics  *challenge.Metrics
	site     *passkey.Site // nil: passkeys are off
	passkeys *passkey.Metrics
	started  chan *challenge.Service // gets one value when the service has started
	ready    chan struct{}           // closed when the service has started
}

// run is Run with an identity and a client that are ready to use.
func run(ctx context.Context, c Config, client *http.Client, who identity) error {
	life, err := lifecycle.New(handlers.Word, c.Service)
	if err != nil {
		return err
	}
	s := &service{config: c, life: life, identity: who, started: make(chan *challenge.Service, 1), ready: make(chan struct{})}
	s.kms, err = kms.NewClient(config.First(c.KMSURL)+"/kms/v1", kms.WithHTTPClient(httpclient.Patient(client)), kms.WithRequestEditorFn(lifecycle.Bearer(who, auth.ProofAudience)))
	if err != nil {
		return fmt.Errorf("client of the kms: %w", err)
	}
	s.handlers = &handlers.Handlers{Contract: life.Contract, Clock: c.Clock, Version: c.Version, Ready: life.Ready}
	s.keys = auth.NewJWKS(config.First(c.JWKSURL), client, c.Clock)
	if err := s.prepareDelivery(); err != nil {
		return err
	}
	if err := s.preparePasskeys(); err != nil {
		return err
	}
	life.Apply = s.apply
	life.Identify(who, client)
	life.Cleanup("attempts", s.closeAttempts) // runs after the last request is answered
	life.Go("work", s.work)
	life.Go("deliver", s.deliver)
	life.Go("mails", s.sendMails)
	return life.Serve(ctx, lifecycle.Door{Keys: s.keys, Mount: s.handlers.Mount})
}

// errStarting makes the feed deliver an entry again.
var errStarting = errors.New("the factors can't be reached yet")

// apply voids the factors of a user when an entry of the kms's feed says so. The feed alone is not trusted: the record in the entry must be signed by the kms.
func (s *service) apply(ctx context.Context, e revocation.Entry) error {
	if e.Kind != revocation.Factors {
		return nil
	}
	factors := s.factors.Load()
	if factors == nil {
		return errStarting
	}
	subject, before, err := auth.VerifyVoid(ctx, e.Record, s.config.Issuer, s.life.Unended(s.keys), s.config.Clock)
	if err != nil {
		return fmt.Errorf("void factors: %w", err)
	}
	return factors.Void(ctx, subject, before)
}

// work makes the service ready, and then, until ctx ends, blanks stored secrets and deletes rows that are no longer needed.
func (s *service) work(ctx context.Context) error {
	db, err := s.life.Database(ctx, schema)
	if err != nil {
		return err
	}
	s.rows = factorstore.New(db, factorstore.Options{Log: s.config.Log, Observe: s.observe()})
	var core *handlers.Core
	var answers *idempotency.Store
	err = s.life.Await(ctx, "the kms", func(ctx context.Context) (err error) {
		core, answers, err = s.start(ctx, db)
		return err
	})
	if err != nil {
		return err
	}
	core.Once = func(k idempotency.Key) factor.Once { return factorstore.Once(answers, k) }
	core.TwilioAccepts = s.config.TwilioAccepts
	s.factors.Store(core.Factors)
	s.handlers.SetCore(core)
	s.life.Started(ctx)
	s.started <- core.Challenges
	close(s.ready)
	return s.life.Every(tidyPause, "remove old rows", func(ctx context.Context) error {
		return errors.Join(core.Factors.Sweep(ctx), core.Challenges.Sweep(ctx), core.Passkeys.Sweep(ctx), answers.SweepAll(ctx, db))
	})(ctx)
}

// observe returns the function that records how many codes shared a commit.
func (s *service) observe() func(int) {
	size := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "fountain_twofactor_commit_attempts", Help: "Codes that were checked in one commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
	})
	s.config.Registerer.MustRegister(size)
	return func(n int) { size.Observe(float64(n)) }
}

// closeAttempts waits for the codes that are being judged, before the database is closed.
func (s *service) closeAttempts() error {
	if s.rows != nil {
		s.rows.Close()
	}
	return nil
}

// prepareDelivery makes the senders of codes and their metrics.
func (s *service) prepareDelivery() (err error) {
	c := s.config
	if s.metrics, err = challenge.NewMetrics(c.Registerer); err != nil {
		return err
	}
	s.sender, err = delivery.New(c.Delivery, delivery.House{
		Issuer: c.OTPIssuer, Development: c.Development, Clock: c.Clock, Log: c.Log, Registerer: c.Registerer, Tracer: c.Tracer,
	})
	if err != nil {
		return fmt.Errorf("prepare the delivery of codes: %w", err)
	}
	return nil
}

// preparePasskeys determines the site that passkeys are bound to, and makes the metrics.
func (s *service) preparePasskeys() (err error) {
	if s.site, err = s.config.Passkeys.site(s.config.Issuer); err != nil {
		return err
	}
	if s.site == nil {
		s.config.Log.Warn("passkeys are switched off: the issuer is neither an https URL with a host name nor http://localhost. Set WEBAUTHN_ORIGINS to enable them")
	}
	s.passkeys, err = passkey.NewMetrics(s.config.Registerer)
	return err
}

// deliver sends codes from when the service has started until ctx ends.
func (s *service) deliver(ctx context.Context) error {
	var challenges *challenge.Service
	select {
	case challenges = <-s.started:
	case <-ctx.Done():
		return nil
	}
	challenges.Run(ctx, func(ctx context.Context, err error) {
		s.config.Log.WarnContext(ctx, "deliveries of codes could not be claimed or recorded", "error", err)
		s.life.CountFailure("deliver codes")
	})
	return nil
}

// start gets the keys, registers the proof key with the kms, and makes the core of the handlers. Each step may be repeated.
func (s *service) start(ctx context.Context, db *store.DB) (*handlers.Core, *idempotency.Store, error) {
	dataKey, err := s.identity.DataKey(ctx, db)
	if err != nil {
		return nil, nil, fmt.Errorf("get the data key: %w", err)
	}
	if err := s.life.OpenAudit(ctx, db, dataKey); err != nil {
		return nil, nil, err
	}
	proofKey, err := s.rows.ProofKey(ctx, dataKey, s.config.Clock.Now())
	if err != nil {
		return nil, nil, err
	}
	if err := s.register(ctx, proofKey.ID(), proofKey.X()); err != nil {
		return nil, nil, fmt.Errorf("register proof key: %w", err)
	}
	factors, err := factor.New(factor.Config{
		Repository: s.rows, Authority: authority{s.identity, s.kms}, Sealer: dataKey, ProofKey: proofKey, Issuer: s.config.OTPIssuer, Random: rand.Reader,
		Clock: s.config.Clock, Log: s.config.Log,
	})
	if err != nil {
		return nil, nil, err
	}
	challenges, err := challenge.New(ctx, challenge.Config{
		Repository: s.rows, Factors: factors, Sender: s.sender, Keys: dataKey, ProofKey: proofKey, Raising: s.config.channels(), PerDay: s.config.DeliveriesPerDay,
		Random: rand.Reader, Clock: s.config.Clock, Log: s.config.Log, Metrics: s.metrics,
	})
	if err != nil {
		return nil, nil, err
	}
	passkeys, err := passkey.New(passkey.Config{
		Repository: s.rows, Factors: factors, Site: s.site, Sealer: dataKey, ProofKey: proofKey, SignsInTo: signsInTo, Random: rand.Reader,
		Clock: s.config.Clock, Log: s.config.Log, Metrics: s.passkeys,
	})
	return &handlers.Core{Factors: factors, Challenges: challenges, Passkeys: passkeys}, idempotency.New(dataKey, dataKey, s.config.Clock), err
}

// register registers a proof key with the kms.
func (s *service) register(ctx context.Context, kid, x string) error {
	answer, err := s.kms.PutProofKey(ctx, kid, kms.ProofKey{Kty: "OKP", Crv: "Ed25519", X: x})
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // the status alone matters
	if answer.StatusCode == http.StatusUnauthorized {
		s.identity.Forget(auth.ProofAudience)
	}
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the kms answered %d", answer.StatusCode)
	}
	return nil
}
