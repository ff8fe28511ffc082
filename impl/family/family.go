// Package family runs all services of FountainAI in one process. Each service has a loopback port of its own. The gateway listens on the one address
// that users are told, and an admin port is beside it. The package uses only Config and Run of each service.
package family

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fountainai/fountain/impl/gateway"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/telemetry"
	"github.com/fountainai/fountain/internal/tracing"
)

// Config says how the family runs. The zero value of a field means its default.
type Config struct {
	DataDir   string // all stored data; created with mode 0700. Default "data"
	Addr      string // of the gateway. Default 127.0.0.1:8002; port 0 takes any free one
	AdminAddr string // of metrics, pprof and /services. Default 127.0.0.1:9002
	Issuer    string // iss of the tokens, fixed at the first start. Default: the gateway's URL at that start
	Version   string // reported by health

	TrustedProxies []string         // CIDRs of the proxies in front of the gateway whose X-Forwarded-* headers are trusted. Default none
	Hosts          []string         // further host names of the gateway, besides the issuer's and loopback names
	CORSOrigins    []string         // origins of pages that may call the gateway from a browser. Default none
	AccessLog      config.AccessLog // which successful requests are logged. Default all
	Traces         config.Traces    // where traces are sent. Default: no traces
	Redis          config.Redis     // where rate limits are shared with other processes. Default: they are not shared
	// Delivery configures the providers of codes. A channel without a provider writes its codes to the log.
	Delivery twofactor.Delivery
	// StepUpChannels are the channels whose codes raise a session: email, sms, webhook. None is the safe choice.
	StepUpChannels []string
	// Passkeys configure the site of passkeys. Default: the issuer's site if Issuer is set, otherwise the gateway at localhost.
	Passkeys twofactor.Passkeys
	// Adopted configures adopted services: where they may be, besides the loopback addresses of this machine, their directory and their origin.
	// Default none.
	Adopted gateway.Adopted
	// Rotators configure the targets outside at which rotated secrets may be set. Default none.
	Rotators kms.Rotators

	AuditKeep time.Duration // no audit event younger than this is removed, archived or not. Default 90 days

	// Engine configures the Typesense server of the search service. Default: the embedded engine.
	Engine search.EngineAt

	Clock   clock.Clock
	Log     *slog.Logger
	OnReady func(Info) // called once, when every service is ready
}

// Info has the addresses of a running family.
type Info struct {
	GatewayURL, AdminURL string
	BootstrapTokenFile   string            // "" when an administrator exists
	Services             map[string]string // base URL of each service by its word, without /<word>/v1
}

const (
	grace      = 15 * time.Second      // limit for the requests in flight of one service at shutdown
	drainDelay = 10 * time.Millisecond // no load balancer is in front of a loopback port
)

// Run runs the family until ctx ends. Then it stops the gateway first and the kms last, so that requests in flight are answered, and returns nil.
//
// It checks the settings and listens on the addresses before it touches the data directory, and it changes nothing in there until the kms has
// accepted its root key. The first service that fails stops all others; Run returns its error.
func Run(ctx context.Context, c Config) error {
	c.complete()
	if err := c.Validate(); err != nil {
		return err
	}
	front, err := listenLocal(ctx, c.Addr)
	if err != nil {
		return err
	}
	defer front.Close()
	admin, err := listenLocal(ctx, c.AdminAddr)
	if err != nil {
		return fmt.Errorf("admin port: %w", err)
	}
	defer admin.Close()
	unlock, err := lock(c.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	h := &instance{Config: c, front: front, admin: admin, registry: prometheus.NewRegistry(), failed: make(chan error, 8)}
	h.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return h.run(ctx)
}

func (c *Config) complete() {
	if c.DataDir == "" {
		c.DataDir = "data"
	}
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8002"
	}
	if c.AdminAddr == "" {
		c.AdminAddr = "127.0.0.1:9002"
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnReady == nil {
		c.OnReady = func(Info) {}
	}
}

// instance is a running family.
type instance struct {
	Config
	front, admin net.Listener
	registry     *prometheus.Registry
	failed       chan error
	bootstrap    atomic.Pointer[string] // path of the bootstrap token

	mu      sync.Mutex
	members []*member                  // in order of their start
	tracers map[string]*tracing.Tracer // by word; nil values when traces are off
}

func (h *instance) run(ctx context.Context) (err error) {
	stopAdmin := h.serveAdmin()
	defer stopAdmin()
	defer func() {
		err = errors.Join(err, h.stop())
		h.closeTracers()
	}()
	if err := h.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := h.awaitReady(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := writeAddress(h.DataDir, urlOf(h.front)); err != nil {
		return err
	}
	h.OnReady(h.info())
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.failed:
		return err
	}
}

// awaitReady waits until every member is ready or one fails.
func (h *instance) awaitReady(ctx context.Context) error {
	for _, m := range h.started() {
		if err := h.await(ctx, m.ready); err != nil {
			return err
		}
	}
	return h.awaitGateway(ctx)
}

// await waits for an event. It returns an error when a member fails or ctx ends first.
func (h *instance) await(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case err := <-h.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *instance) info() Info {
	info := Info{GatewayURL: nameOf(h.front), AdminURL: nameOf(h.admin), Services: make(map[string]string)}
	for _, m := range h.started() {
		info.Services[m.word] = m.url
	}
	if path := h.bootstrap.Load(); path != nil {
		info.BootstrapTokenFile = *path
	}
	return info
}

// serveAdmin serves the admin port until the returned function is called.
func (h *instance) serveAdmin() func() {
	server := &http.Server{
		Handler:           telemetry.AdminHandler(telemetry.AdminOptions{Gatherer: h.registry, Services: h.services}),
		ReadHeaderTimeout: 5 * time.Second,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(h.admin); !errors.Is(err, http.ErrServerClosed) {
			h.failed <- fmt.Errorf("admin port: %w", err)
		}
	}()
	return func() {
		_ = server.Close() // requests that are still being answered can be cut off
		<-done
	}
}
