package kms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/credential"
	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/impl/kms/internal/keyring"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/impl/kms/internal/openid"
	"github.com/fountainai/fountain/impl/kms/internal/password"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/impl/kms/internal/records"
	"github.com/fountainai/fountain/impl/kms/internal/retention"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/impl/kms/internal/rotator"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/impl/kms/internal/witness"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/ratelimit"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// app is the domain on its database.
type app struct {
	config Config
	db     *store.DB
	domain *handlers.Domain
}

// build assembles the domain on a database and prepares it for serving.
func build(ctx context.Context, c Config, db *store.DB, shared *shared) (*app, error) {
	domain, err := assemble(ctx, c, db, shared)
	if err != nil {
		return nil, err
	}
	built := &app{config: c, db: db, domain: domain}
	if err := built.prepare(ctx); err != nil {
		return nil, err
	}
	return built, nil
}

// keysets are the keysets that every start needs.
type keysets struct {
	signing, refresh, pepper, secrets, answers, fingerprints, audit, mails, wrapping *seal.Keyset
}

func openKeysets(ctx context.Context, v *vault.Vault) (k keysets, err error) {
	for _, one := range []struct {
		into **seal.Keyset
		open func(context.Context, string) (*seal.Keyset, error)
		name string
	}{
		{&k.signing, v.AEAD, vault.Signing}, {&k.refresh, v.AEAD, vault.Refresh}, {&k.pepper, v.MAC, vault.APIKeys},
		{&k.secrets, v.AEAD, vault.Secrets}, {&k.answers, v.AEAD, vault.Answers}, {&k.fingerprints, v.MAC, vault.Fingerprints},
		{&k.audit, v.AEAD, vault.Audit},
		{&k.mails, v.AEAD, vault.Mails}, {&k.wrapping, v.AEAD, vault.Wrapping},
	} {
		if *one.into, err = one.open(ctx, one.name); err != nil {
			return k, err
		}
	}
	return k, nil
}

// assemble builds the domain. The root key is opened first, so that a wrong one changes nothing. shared is nil for commands that serve no requests.
func assemble(ctx context.Context, c Config, db *store.DB, shared *shared) (*handlers.Domain, error) {
	v, err := vault.Open(ctx, db, kmsdb.Keysets{}, vault.Files{Current: c.RootKeyFile, Previous: c.PreviousRootKeyFile}, c.Clock)
	if err != nil {
		return nil, err
	}
	issuer, err := fixIssuer(ctx, db, c.Issuer)
	if err != nil {
		return nil, err
	}
	sets, err := openKeysets(ctx, v)
	if err != nil {
		return nil, err
	}
	contracts, err := contract.LoadAll()
	if err != nil {
		return nil, fmt.Errorf("load contracts: %w", err)
	}
	catalogue, err := authority.NewCatalogue(issuer, contracts)
	if err != nil {
		return nil, fmt.Errorf("read scopes of the contracts: %w", err)
	}
	chain, err := audit.Open(ctx, db, audit.Options{Service: handlers.Word, Sealer: sets.audit, Clock: c.Clock})
	if err != nil {
		return nil, err
	}
	ring, err := signing.Open(ctx, db, kmsdb.SigningKeys{}, sets.signing, c.Clock)
	if err != nil {
		return nil, fmt.Errorf("open signing keys: %w", err)
	}
	feed, err := revocation.Open(ctx, db, kmsdb.Revocations{}, c.Clock, c.Log)
	if err != nil {
		return nil, err
	}
	feed.Watch(ended.SigningKey, ring.Reload)
	mint := &signing.Mint{Issuer: issuer, Signer: ring, Catalogue: catalogue, Clock: c.Clock}
	if shared == nil {
		return parts{c, db, v, sets, chain, mint, ring, feed, nil}.domain(), nil
	}
	made := parts{c, db, v, sets, chain, mint, ring, feed, shared.limiter}.domain()
	made.Secrets.Drivers, made.Secrets.Count, made.Secrets.Held = shared.rotator.Drivers(issuer), shared.failed, shared.held
	return made, nil
}

// parts are the components that the domain is built from.
type parts struct {
	Config
	db   *store.DB
	v    *vault.Vault
	sets keysets

	chain *audit.Chain
	mint  *signing.Mint
	ring  *signing.Ring
	feed  *revocation.Feed

	limiter *ratelimit.Limiter
}

// domain wires the parts of the domain.
func (p parts) domain() *handlers.Domain {
	c, db := p.Config, p.db
	hasher, log := password.NewHasher(), auditlog.Log{Clock: c.Clock}
	refusals := auditlog.NewRefusals(log)
	standing := &authority.Standing{Rows: kmsdb.Standing{}, Clock: c.Clock}
	roles := &role.Roles{
		DB: db, Rows: kmsdb.Roles{}, Users: kmsdb.Users{}, Standing: standing, Catalogue: p.mint.Catalogue, Feed: p.feed, Clock: c.Clock,
	}
	users := user.New(db, kmsdb.Users{}, roles, standing, p.feed, hasher, c.Clock)
	apiKeys := apikey.New(db, kmsdb.APIKeys{}, standing, p.sets.pepper, p.feed, c.Clock)
	adoptions := &adoption.Adoptions{
		DB: db, Rows: kmsdb.Contracts{}, Services: kmsdb.Services{}, Standing: standing, Feed: p.feed, Judge: adoption.NewBench(judge{}), Clock: c.Clock,
	}
	services := service.New(db, kmsdb.Services{}, apiKeys, roles, adoptions, standing, p.feed, p.mint.Catalogue, c.Clock)
	proofKeys := credential.NewProofKeys(db, kmsdb.ProofKeys{}, standing, c.Clock)
	presented := credential.NewKeys(db, kmsdb.APIKeys{}, kmsdb.Standing{}, p.sets.pepper, p.feed, refusals, p.limiter, c.Clock, c.Log)
	recorder := &audit.Recorder{DB: db, Log: c.Log}
	clients := &credential.Clients{Keys: presented, Mint: p.mint, Audit: log, Recorder: recorder}
	sessions := session.New(session.Config{
		DB: db, Rows: kmsdb.Sessions{}, Users: kmsdb.Users{}, Accounts: users, Standing: standing, Feed: p.feed, Hasher: hasher, Mint: p.mint,
		Sealer: p.sets.refresh, ProofKeys: proofKeys, Refusals: refusals, Clock: c.Clock,
	})
	provider := openid.New(openid.Config{
		DB: db, Rows: kmsdb.OpenID{}, Services: kmsdb.Services{}, Sessions: sessions, Standing: standing, Mint: p.mint, Ring: p.ring, Clock: c.Clock,
	})
	publicURL := strings.TrimSuffix(c.PublicURL, "/")
	if publicURL == "" {
		publicURL = p.mint.Issuer
	}
	mails := mail.New(mail.Config{
		DB: db, Rows: kmsdb.Mails{}, Users: users, Standing: standing, Sealer: p.sets.mails, Sums: p.sets.fingerprints, PublicURL: publicURL, Clock: c.Clock, Log: c.Log,
	})
	gate := &policy.Gate{DB: db, Rows: kmsdb.SecretPolicies{}, Standing: standing, Refusals: refusals}
	issuer := p.mint.Issuer
	verifier := auth.NewVerifier(auth.VerifierConfig{Issuer: func() string { return issuer }, Keys: p.ring, Revocations: p.feed, Clock: c.Clock})
	return &handlers.Domain{
		DB: db, Audit: p.chain, Recorder: recorder, Witness: &witness.Witness{DB: db, Chain: p.chain, Standing: standing, Audit: log},
		Retention: &retention.Retention{DB: db, Rows: kmsdb.AuditOrders{}, Chain: p.chain, Standing: standing, Audit: log, Clock: c.Clock, Keep: c.AuditKeep},
		Answers:   idempotency.New(p.sets.fingerprints, p.sets.answers, c.Clock),
		Bootstrap: user.NewBootstrap(db, kmsdb.Users{}, users, filepath.Join(c.DataDir, "bootstrap.token"), refusals, c.Clock),
		Refusals:  refusals, Users: users, Mails: mails, Roles: roles, Services: services, Adoptions: adoptions, TokenFiles: services.Files(c.EnrolDir, c.Log), APIKeys: apiKeys, Presented: presented, Clients: clients,
		Tokens: &credential.Tokens{
			DB: db, Verifier: verifier, Standing: standing, Clients: clients, Sessions: sessions, Apps: provider, Feed: p.feed, Audit: log,
		},
		OpenID: provider, Sessions: sessions, Secrets: secret.New(db, kmsdb.Secrets{}, p.sets.secrets, gate, c.Clock, c.SecretVersions),
		Policies: &policy.Policies{DB: db, Rows: kmsdb.SecretPolicies{}, Gate: gate, Standing: standing, Roles: roles, Clock: c.Clock},
		DataKeys: secret.NewKeyrings(db, p.v, standing, c.Clock),
		Keyrings: keyring.New(db, kmsdb.Keyrings{}, p.v, standing, c.Clock), ProofKeys: proofKeys, Feed: p.feed, Mint: p.mint, Ring: p.ring, SigningKeys: p.rotation(standing),
		RootKey: vault.NewRotation(p.v, standing, c.Clock, c.Log), Records: &records.Records{DB: db, Standing: standing, Dir: c.DataDir, Audit: auditlog.Log{Clock: c.Clock}, Log: c.Log}, PublicURL: publicURL,
	}
}

// rotation builds the rotation of the signing keys.
func (p parts) rotation(standing *authority.Standing) *signing.Rotation {
	return &signing.Rotation{
		DB: p.db, Rows: kmsdb.SigningKeys{}, Ring: p.ring, Standing: standing, Feed: p.feed, Audit: auditlog.Log{Clock: p.Clock}, Clock: p.Clock, Life: p.SigningKeyLife, SetAge: p.SigningKeySetAge,
	}
}

// shared has the parts that are created once, before the database is available: they register metrics, and the domain may be built more than once.
type shared struct {
	limiter *ratelimit.Limiter
	rotator *rotator.Rotator
	failed  func(driver string, step secret.Step)
	held    func(ctx context.Context, readings int, by *auth.Principal)
}

func share(c Config) (s *shared, err error) {
	s = &shared{}
	s.limiter, err = ratelimit.New(ratelimit.Options{Redis: c.Redis, CAFile: c.TLS.CAFile, Clock: c.Clock, Log: c.Log, Registerer: c.Registerer})
	if err != nil {
		return nil, fmt.Errorf("make limits: %w", err)
	}
	if s.rotator, err = c.rotator(); err != nil {
		return nil, fmt.Errorf("make drivers of rotations: %w", err)
	}
	if s.failed, err = countRotations(c.Registerer); err != nil {
		return nil, err
	}
	s.held, err = c.countHeld()
	return s, err
}

// rotator returns the drivers of secret rotations. It denies connections to listeners of this process and to the Redis, whatever the operator's list allows.
func (c Config) rotator() (*rotator.Rotator, error) {
	own := c.Addr
	if c.Listener != nil {
		own = c.Listener.Addr().String()
	}
	deny := append([]string{own}, c.RotationDeny...)
	if redis := c.Redis.Addr(); redis != "" {
		deny = append(deny, redis)
	}
	return rotator.New(rotator.Options{
		Allow: c.RotationAllow, Deny: deny, CAFile: c.RotationCAFile, Clock: c.Clock, Log: c.Log, Registerer: c.Registerer, Tracer: c.Tracer,
	})
}

// countRotations returns the function that counts failed steps of rotations.
func countRotations(registerer prometheus.Registerer) (func(driver string, step secret.Step), error) {
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_secret_rotation_failures_total", Help: "Steps of rotations of secrets that failed, by driver and step (end: of a version that is to work outside no more).",
	}, []string{"driver", "step"})
	if err := registerer.Register(failed); err != nil {
		return nil, fmt.Errorf("register the metric of failed rotations: %w", err)
	}
	return func(driver string, step secret.Step) { failed.WithLabelValues(driver, string(step)).Inc() }, nil
}

// countHeld returns the function that counts and logs readings of secrets that wait for a locked row of their caller.
func (c Config) countHeld() (func(ctx context.Context, readings int, by *auth.Principal), error) {
	held := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fountain_secret_readings_held_total", Help: "Readings of secrets that were put aside for a row of a caller's that another transaction holds, on PostgreSQL.",
	})
	if err := c.Registerer.Register(held); err != nil {
		return nil, fmt.Errorf("register the metric of readings that wait: %w", err)
	}
	return func(ctx context.Context, readings int, by *auth.Principal) {
		held.Add(float64(readings))
		if by != nil {
			c.Log.WarnContext(ctx, "readings of secrets were put aside: another transaction holds the row of a caller", "readings", readings, "caller", by.Subject)
		}
	}, nil
}

// issuerSetting is the name of the setting that holds the issuer.
const issuerSetting = "issuer"

// fixIssuer stores the issuer at the first start and requires the same one at every later start, since tokens and services depend on it.
func fixIssuer(ctx context.Context, db *store.DB, configured string) (string, error) {
	const name = issuerSetting
	stored, err := kmsdb.Settings{}.Setting(ctx, db.Read(ctx), name)
	if err != nil {
		return "", fmt.Errorf("read issuer: %w", err)
	}
	switch {
	case stored == "" && configured == "":
		return "", errors.New("ISSUER: is required at the first start, which fixes it")
	case stored == "":
		err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			stored, err = kmsdb.Settings{}.Fix(ctx, tx, name, configured)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("store issuer: %w", err)
		}
	}
	if configured != "" && configured != stored {
		return "", fmt.Errorf("ISSUER: is %q here, but was fixed as %q at the first start; set that, or stop the kms and run: fountain issuer move %s", configured, stored, configured)
	}
	return stored, nil
}

// prepare runs the steps of every start before the service is ready.
func (a *app) prepare(ctx context.Context) error {
	if err := a.domain.RootKey.Announce(ctx); err != nil {
		return err
	}
	if err := a.domain.Services.RegisterFamily(ctx); err != nil {
		return fmt.Errorf("register the family's services: %w", err)
	}
	if err := a.domain.TokenFiles.Refresh(ctx); err != nil {
		return fmt.Errorf("write enrolment tokens: %w", err)
	}
	path, err := a.domain.Bootstrap.Issue(ctx)
	if err != nil {
		return fmt.Errorf("write bootstrap token: %w", err)
	}
	a.announce(ctx, path)
	return nil
}

func (a *app) announce(ctx context.Context, path string) {
	switch {
	case path == "":
	case a.config.OnBootstrapToken != nil:
		a.config.OnBootstrapToken(path)
	default:
		a.config.Log.InfoContext(ctx, "there is no administrator yet; make one with the token in this file", "path", path)
	}
}

const (
	reissuePause = 5 * time.Second // between two checks for a removed bootstrap token
	tidyPause    = time.Minute     // between two deletions of old stored answers
	flushPause   = 2 * time.Second // between two writes of pending key uses
	sweepPause   = 10 * time.Minute
)

// runBackground runs the periodic tasks until ctx ends.
func (a *app) runBackground(ctx context.Context, life *lifecycle.Service) error {
	group, ctx := errgroup.WithContext(ctx)
	d := a.domain
	for _, run := range []func(context.Context) error{
		func(ctx context.Context) error {
			return d.Feed.Run(ctx, func() { life.CountFailure("read the revocation feed") })
		},
		d.Presented.RunFlush,
		d.Secrets.Run,
		d.Mails.Run,
		life.Every(service.CheckInterval, "tend the enrolment files", d.TokenFiles.Tend),
		life.Every(signing.ReloadPause, "read the signing keys", a.reloadKeys()),
		life.Every(signing.TendPause, "tend the signing keys", d.SigningKeys.Tend),
		life.Every(keyring.TendPause, "tend the keyrings", d.Keyrings.Tend),
		life.Every(vault.TendPause, "tend the root key", d.RootKey.Tend),
		life.Every(secret.RotationPause, "rotate secrets", d.Secrets.WorkOnRotations),
		life.Every(flushPause, "write uses of keys", d.Presented.Flush),
		life.Every(sweepPause, "delete ended sessions", a.sweepSessions),
		life.Every(sweepPause, "delete old codes", d.OpenID.Sweep),
		life.Every(sweepPause, "delete ended invitations and resets", d.Users.Sweep),
		life.Every(mail.RequestPause, "answer requests for new passwords", d.Mails.Answer),
		life.Every(tidyPause, "give up and delete old mails", d.Mails.Sweep),
		life.Every(sweepPause, "delete ended keys", func(ctx context.Context) error { _, err := d.APIKeys.Sweep(ctx); return err }),
		life.Every(reissuePause, "write a new bootstrap token", a.reissue),
		life.Every(tidyPause, "record refusals", func(ctx context.Context) error { return d.Refusals.Flush(ctx, a.db) }),
		life.Every(tidyPause, "remove old answers", func(ctx context.Context) error { return d.Answers.SweepAll(ctx, a.db) }),
	} {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

// reloadKeys returns the task that reloads the signing keys. It logs once when they were created by a clock that was ahead.
func (a *app) reloadKeys() func(ctx context.Context) error {
	said := false
	return func(ctx context.Context) error {
		err := a.domain.Ring.Reload(ctx)
		ahead := a.domain.Ring.Ahead()
		if ahead && !said {
			a.config.Log.WarnContext(ctx, "the signing keys begin in the future and are used anyway: the clock was ahead when they were made")
		}
		said = ahead
		return err
	}
}

// sweepSessions deletes ended sessions, and logs when locks had been set by a clock that was ahead: people could have been locked out until then.
func (a *app) sweepSessions(ctx context.Context) error {
	ahead, err := a.domain.Sessions.Sweep(ctx)
	if ahead > 0 {
		a.config.Log.WarnContext(ctx, "locks of failed sign-ins were in the future and were removed: the clock had been ahead", "locks", ahead)
	}
	return err
}

// reissue writes a new bootstrap token if the old one's file was removed, which is how an operator asks for one.
func (a *app) reissue(ctx context.Context) error {
	path, err := a.domain.Bootstrap.Reissue(ctx)
	a.announce(ctx, path)
	return err
}

// keys is the auth.KeySource of the service's own tokens.
type keys struct{ s *program }

// Key implements auth.KeySource.
func (k keys) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	built := k.s.app.Load()
	if built == nil {
		return "", nil, auth.ErrUnknownKey
	}
	return built.domain.Ring.Key(ctx, kid)
}

// revocations is the auth.Revocations of the service's own door.
type revocations struct{ s *program }

// Revoked implements auth.Revocations.
func (r revocations) Revoked(p *auth.Principal) (bool, error) {
	built := r.s.app.Load()
	if built == nil {
		return false, auth.ErrUnknownRevocations
	}
	return built.domain.Feed.Revoked(p)
}
