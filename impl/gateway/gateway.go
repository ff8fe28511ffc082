// Package gateway is the family's single entry point. It forwards a request to a service only if that service's contract allows it.
// Its configuration has addresses and keys, never policy.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fountainai/fountain/impl/gateway/internal/admit"
	"github.com/fountainai/fountain/impl/gateway/internal/apikey"
	"github.com/fountainai/fountain/impl/gateway/internal/forward"
	"github.com/fountainai/fountain/impl/gateway/internal/limit"
	"github.com/fountainai/fountain/impl/gateway/internal/member"
	"github.com/fountainai/fountain/impl/gateway/internal/services"
	"github.com/fountainai/fountain/impl/gateway/internal/stepup"
	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/egress"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/ratelimit"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/runner"
)

const (
	word = "gateway"
	// callTimeout bounds the gateway's own calls: for keys, second factors and readiness.
	callTimeout = 10 * time.Second
)

// Adopted is the operator's configuration of adopted services.
type Adopted struct {
	ContractsDir string `env:"CONTRACTS_DIR"` // has a folder for each adopted service that is not stored in the kms; default none
	// MembersOrigin is a separate origin for adopted services, such as https://apps.example.org. They are then reachable only there, and the family is not.
	// If it is "", they share the family's origin, and their answers are sandboxed.
	MembersOrigin string `env:"MEMBERS_ORIGIN"`
	// UpstreamAllow lists where the targets of adopted services may be, as entries of package egress. By default nowhere.
	UpstreamAllow []string `env:"UPSTREAM_ALLOW"`
}

// Validate checks the entries of UpstreamAllow.
func (a Adopted) Validate() error {
	if err := (egress.Options{Purpose: "upstream", Allow: a.UpstreamAllow}).Validate(); err != nil {
		return fmt.Errorf("UPSTREAM_ALLOW: %w", err)
	}
	return nil
}

// Config is the configuration of the gateway. Issuer, JWKSURL, KMSURL, EnrolTokenFile, DataDir and the three URLs below are required. DataDir stores
// the gateway's own credential, which is only allowed to read the kms's revocation feed and the contracts of adopted services.
type Config struct {
	config.Service

	// Base URLs of the services' targets without /<word>/v1, separated by commas. KMSURL has this form too; the gateway's own calls use its first URL.
	TwofactorURL string   `env:"TWOFACTOR_URL"`
	SearchURL    string   `env:"SEARCH_URL"`
	SequenceURL  string   `env:"SEQUENCE_URL"`
	CORSOrigins  []string `env:"CORS_ORIGINS"` // origins of pages that may call from a browser, scheme://host[:port]; default none
	Adopted
	// UpstreamDeny are further listeners and stores of the family (host:port), besides those in the configuration, that no adopted service may have as target.
	UpstreamDeny []string `env:"-"`

	Redis   config.Redis `env:"-"` // shares limits between gateways; its variables have the prefix config.RedisPrefix
	Version string       `env:"-"` // of the program, reported by health
}

// Validate checks the configuration without side effects. It fills in defaults.
func (c *Config) Validate() error {
	c.Complete(word)
	errs := []error{c.Service.Validate(), c.Redis.Validate()}
	for name, value := range map[string]string{"ISSUER": c.Issuer, "JWKS_URL": c.JWKSURL, "ENROL_TOKEN_FILE": c.EnrolTokenFile} {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s: is required", name))
		}
	}
	targets, err := c.targets()
	if err != nil {
		errs = append(errs, err)
	}
	if err := c.egress(targets).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("UPSTREAM_ALLOW: %w", err))
	}
	if err := c.validateMembersOrigin(); err != nil {
		errs = append(errs, fmt.Errorf("MEMBERS_ORIGIN: %w", err))
	}
	if _, err := httpserver.NewCORS(c.CORSOrigins); err != nil {
		errs = append(errs, fmt.Errorf("CORS_ORIGINS: %w", err))
	}
	return errors.Join(errs...)
}

// maxTargets is the limit of targets per service.
const maxTargets = 64

// targets returns the URLs of the services' targets by word.
func (c *Config) targets() (map[string][]*url.URL, error) {
	out := map[string][]*url.URL{}
	var errs []error
	for word, list := range map[string]string{"kms": c.KMSURL, "twofactor": c.TwofactorURL, "search": c.SearchURL, "sequence": c.SequenceURL} {
		addresses := strings.Split(list, ",")
		seen := map[string]bool{}
		for _, address := range addresses {
			u, err := url.Parse(strings.TrimSpace(address))
			if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") {
				errs = append(errs, fmt.Errorf("%s_URL: must be http://host:port or https://host:port", strings.ToUpper(word)))
				break
			}
			if seen[u.Host] || len(addresses) > maxTargets {
				errs = append(errs, fmt.Errorf("%s_URL: must be at most %d different addresses", strings.ToUpper(word), maxTargets))
				break
			}
			seen[u.Host] = true
			out[word] = append(out[word], u)
		}
	}
	return out, errors.Join(errs...)
}

// Run serves until ctx ends, then drains. It also starts while the services behind it are not available.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of the gateway: %w", err)
	}
	client, err := lifecycle.Client(c.Service, callTimeout)
	if err != nil {
		return err
	}
	who, err := lifecycle.Enrol(word, c.Service, client)
	if err != nil {
		return err
	}
	announced := make(chan struct{}, 1)
	feed := revocation.NewFollower(revocation.Config{
		KMSURL: config.First(c.KMSURL), Client: client, Credential: who, Clock: c.Clock, Log: c.Log, Registerer: c.Registerer, Apply: member.Announce(announced),
	})
	contracts, err := contract.LoadAll()
	if err != nil {
		return fmt.Errorf("compile the contracts: %w", err)
	}
	g, err := build(c, contracts, client, feed)
	if err != nil {
		return err
	}
	feed.RenewKeys = g.keys.Renew
	adopted, err := member.NewKMS(g.members, who, announced)
	if err != nil {
		return err
	}
	g.require = []func() error{who.Ready, feed.Ready, adopted.Ready}
	g.start.begin()
	listener := c.Listener
	if listener == nil {
		if listener, err = httpserver.Listen(context.Background(), c.Addr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	var group runner.Group
	group.Go("serve", func(ctx context.Context) error {
		return httpserver.Serve(ctx, listener, g.handler(), httpserver.ServeOptions{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Log: c.Log,
			Draining: func() { g.draining.Store(true) }, DrainDelay: c.DrainDelay, Grace: c.Grace,
		})
	})
	group.Go("watch services", g.watcher.Run)
	group.Go("credential", who.Run)
	group.Go("revocation feed", feed.Run)
	group.Go("limits", g.limiter.Run)
	group.Go("contracts of the kms", adopted.Run)
	if c.ContractsDir != "" {
		hangups := make(chan os.Signal, 1)
		directory, err := member.NewDirectory(g.members, c.ContractsDir, hangups)
		if err != nil {
			return err
		}
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		group.Go("contracts directory", directory.Run)
	}
	group.Go("become ready", func(ctx context.Context) error { return g.becomeReady(ctx, feed.Heard(), adopted.Heard()) })
	return group.Run(ctx)
}

// build assembles the gateway. client fetches the kms's keys and checks the readiness of targets.
func build(c Config, contracts []*contract.Contract, client *http.Client, revocations auth.Revocations) (*gate, error) {
	targets, err := c.targets()
	if err != nil {
		return nil, err
	}
	secured, err := httpclient.TLS(c.TLS.CAFile)
	if err != nil {
		return nil, err
	}
	upstreams := upstream.New(upstream.Options{Targets: targets, TLS: secured, Log: c.Log, Registerer: c.Registerer})
	own := httpclient.Over(upstreams, callTimeout, c.Tracer) // the host of its URLs is a service's word
	keys := auth.NewJWKS(config.First(c.JWKSURL), client, c.Clock)
	verifier := auth.NewVerifier(auth.VerifierConfig{Issuer: func() string { return c.Issuer }, Keys: keys, Revocations: revocations, Clock: c.Clock})
	cors, err := httpserver.NewCORS(c.CORSOrigins)
	if err != nil {
		return nil, fmt.Errorf("origins of pages: %w", err)
	}
	redeemer, err := stepup.New("http://twofactor", "http://kms", own, verifier, c.Clock)
	if err != nil {
		return nil, err
	}
	traded, err := apikey.New(apikey.Options{KMSURL: "http://kms", Client: own, Verifier: verifier, Clock: c.Clock, Registerer: c.Registerer})
	if err != nil {
		return nil, fmt.Errorf("trade of API keys: %w", err)
	}
	limiter, err := ratelimit.New(ratelimit.Options{Redis: c.Redis, CAFile: c.TLS.CAFile, Clock: c.Clock, Log: c.Log, Registerer: c.Registerer})
	if err != nil {
		return nil, err
	}
	probing, err := httpclient.New(c.TLS.CAFile, callTimeout, c.Tracer) // calls each target directly
	if err != nil {
		return nil, err
	}
	g := &gate{
		config: c, keys: keys, verifier: verifier, traded: traded, stepup: redeemer, admit: admit.New(nil, c.Registerer),
		limiter: limiter, limits: limit.NewSteps(limiter), cors: cors,
		watcher: services.NewWatcher(contracts, upstreams, probing, c.Log, c.Registerer),
	}
	allowed, err := egress.New(c.egress(targets))
	if err != nil {
		return nil, fmt.Errorf("addresses of adopted services: %w", err)
	}
	g.members, err = member.New(member.Options{
		Family: contracts, Own: word, Upstreams: upstreams, Watcher: g.watcher, Admission: g.admit, Egress: allowed, Client: own, Log: c.Log, Registerer: c.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	g.shadows = member.NewShadows(g.members)
	g.forwarder = forward.New(forward.Options{Upstreams: upstreams, Active: g.members.Active, OwnOrigin: c.MembersOrigin != "", Passed: g.shadows.Answer, Log: c.Log, Registerer: c.Registerer})
	g.own = g.ownHandler(own)
	return g, nil
}
