package family

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/sequence"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/telemetry"
	"github.com/fountainai/fountain/internal/tracing"
)

// member is one service of the family.
type member struct {
	word   string
	url    string
	ready  chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// start starts the kms, asks it for the issuer in its database, and starts the other services with that issuer.
func (h *instance) start(ctx context.Context) error {
	words := []string{"kms", "twofactor", "search", "sequence"}
	listeners := make(map[string]net.Listener)
	for _, word := range words {
		l, err := listen(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { // a member that was started closes its own listener
			if h.member(word) == nil {
				_ = l.Close()
			}
		}()
		listeners[word] = l
	}
	listeners["gateway"] = h.front
	if err := h.startTracers(append(words, "gateway")); err != nil {
		return err
	}
	at := func(word string) string { return urlOf(listeners[word]) }
	service := func(word string) config.Service { return h.service(word, listeners[word], at("kms")) }

	own := addressesOf(h.admin, listeners)
	if err := h.startKMS(ctx, service("kms"), own); err != nil {
		return err
	}
	issuer, err := askIssuer(ctx, at("kms"))
	if err != nil {
		return err
	}
	with := func(word string) config.Service {
		s := service(word)
		s.Issuer = issuer
		return s
	}
	t := twofactor.Config{Service: with("twofactor"), Version: h.Version, Delivery: h.Delivery, StepUpChannels: h.StepUpChannels, Passkeys: h.sitePasskeys(), Development: true}
	h.launch("twofactor", at("twofactor"), &t.Service, func(ctx context.Context) error { return twofactor.Run(ctx, t) })
	s := search.Config{Service: with("search"), Version: h.Version, EngineAt: h.Engine}
	h.launch("search", at("search"), &s.Service, func(ctx context.Context) error { return search.Run(ctx, s) })
	q := sequence.Config{Service: with("sequence"), SearchURL: at("search"), Version: h.Version}
	h.launch("sequence", at("sequence"), &q.Service, func(ctx context.Context) error { return sequence.Run(ctx, q) })
	g := gateway.Config{
		Service: with("gateway"), TwofactorURL: at("twofactor"), SearchURL: at("search"), SequenceURL: at("sequence"), Version: h.Version,
	}
	g.TrustedProxies = h.TrustedProxies
	g.CORSOrigins = h.CORSOrigins
	g.Redis = h.Redis
	g.Adopted = h.Adopted
	g.UpstreamAllow = append([]string{"127.0.0.0/8", "::1/128"}, h.Adopted.UpstreamAllow...) // services on this machine, and what the operator allows
	g.UpstreamDeny = own
	g.Hosts = append([]string{nameOf(h.front)}, h.Hosts...)
	h.launch("gateway", at("gateway"), &g.Service, func(ctx context.Context) error { return gateway.Run(ctx, g) })
	return nil
}

// sitePasskeys returns the configured site of passkeys. Without a configured site and issuer it is localhost, as browsers create no passkeys for IP
// addresses.
func (h *instance) sitePasskeys() twofactor.Passkeys {
	p := h.Passkeys
	if p.RPID != "" || len(p.Origins) > 0 || h.Issuer != "" {
		return p
	}
	_, port, err := net.SplitHostPort(h.front.Addr().String())
	if err == nil { // a TCP address has a port
		p.Origins = []string{"http://" + net.JoinHostPort("localhost", port)}
	}
	return p
}

// startKMS starts the kms and waits until it is ready. Its rotations may not call an address of this process.
func (h *instance) startKMS(ctx context.Context, s config.Service, own []string) error {
	issuer, err := h.chooseIssuer()
	if err != nil {
		return err
	}
	s.Issuer = issuer
	k := kms.Config{
		Service: s, EnrolDir: h.enrolDir(), Redis: h.Redis, Version: h.Version, Rotators: h.Rotators,
		OnBootstrapToken: func(path string) { h.bootstrap.Store(&path) },
	}
	k.RotationDeny = own
	if h.Issuer == "" {
		k.PublicURL = nameOf(h.front) // the issuer may have the port of an earlier start
	}
	h.launch("kms", s.KMSURL, &k.Service, func(ctx context.Context) error { return kms.Run(ctx, k) })
	return h.await(ctx, h.member("kms").ready)
}

// addressesOf returns the addresses on which this process listens. No adopted service may be there, and no secret may be sent there.
func addressesOf(admin net.Listener, listeners map[string]net.Listener) []string {
	var out []string
	for _, l := range slices.AppendSeq([]net.Listener{admin}, maps.Values(listeners)) {
		for _, one := range httpserver.Listeners(l) {
			out = append(out, one.Addr().String())
		}
	}
	return out
}

func (h *instance) enrolDir() string { return filepath.Join(h.DataDir, "enrol") }

// service returns the settings that all members have in common.
func (h *instance) service(word string, l net.Listener, kmsURL string) config.Service {
	return config.Service{
		Listener: l, DataDir: filepath.Join(h.DataDir, word),
		JWKSURL: kmsURL + "/kms/v1/.well-known/jwks.json", KMSURL: kmsURL, EnrolTokenFile: filepath.Join(h.enrolDir(), word, "token"),
		Log: h.logOf(word), Registerer: h.metricsOf(word),
		Clock: h.Clock, DrainDelay: drainDelay, Grace: grace, AuditKeep: h.AuditKeep, AccessLog: h.AccessLog, Tracer: h.tracers[word],
		TrustedProxies: []string{"127.0.0.0/8"}, // the gateway of this process
	}
}

func (h *instance) logOf(word string) *slog.Logger { return h.Log.With("service", word) }

func (h *instance) metricsOf(word string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"service": word}, h.registry)
}

// startTracers creates a tracer for each member; they are nil when traces are off.
func (h *instance) startTracers(words []string) error {
	h.tracers = make(map[string]*tracing.Tracer)
	for _, word := range words {
		tracer, err := lifecycle.NewTracer(word, h.Version, h.Traces, h.logOf(word), h.metricsOf(word))
		if err != nil {
			return err
		}
		h.tracers[word] = tracer
	}
	return nil
}

// closeTracers sends the remaining spans of all members in parallel. Each member has a few seconds for that.
func (h *instance) closeTracers() {
	var wg sync.WaitGroup
	for _, tracer := range h.tracers {
		wg.Go(tracer.Close)
	}
	wg.Wait()
}

// launch starts a member. s is its configuration, which run uses by reference.
func (h *instance) launch(word, url string, s *config.Service, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background()) // not the caller's context, as the members stop in a fixed order
	m := &member{word: word, url: url, ready: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	s.OnReady = sync.OnceFunc(func() { close(m.ready) })
	h.mu.Lock()
	h.members = append(h.members, m)
	h.mu.Unlock()
	go func() {
		defer close(m.done)
		err := run(ctx)
		switch {
		case err != nil:
			h.failed <- fmt.Errorf("%s: %w", word, err)
		case ctx.Err() == nil:
			h.failed <- fmt.Errorf("%s ended unexpectedly", word)
		}
	}()
}

func (h *instance) member(word string) *member {
	for _, m := range h.started() {
		if m.word == word {
			return m
		}
	}
	return nil
}

// started returns the members that were started so far.
func (h *instance) started() []*member {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.members)
}

// stop stops the members, the last one started first, and returns the errors of that.
func (h *instance) stop() error {
	for _, m := range slices.Backward(h.started()) {
		m.cancel()
		<-m.done
	}
	var errs []error
	for {
		select {
		case err := <-h.failed:
			if !errors.Is(err, context.Canceled) {
				errs = append(errs, err)
			}
		default:
			return errors.Join(errs...)
		}
	}
}

// askIssuer returns the issuer that the kms puts into its tokens, which is that of its first start.
func askIssuer(ctx context.Context, kmsURL string) (string, error) {
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if err := getJSON(ctx, kmsURL+"/kms/v1/.well-known/oauth-authorization-server", &metadata); err != nil {
		return "", fmt.Errorf("ask the kms for its issuer: %w", err)
	}
	if metadata.Issuer == "" {
		return "", errors.New("the kms reports no issuer")
	}
	return metadata.Issuer, nil
}

// awaitGateway waits until the gateway, too, reports every service as ready: its list of services must not contradict OnReady.
func (h *instance) awaitGateway(ctx context.Context) error {
	for {
		var list struct {
			Items []struct {
				Status  string
				Adopted bool // not a service of this process, and not waited for
			}
		}
		err := getJSON(ctx, urlOf(h.front)+"/gateway/v1/services", &list)
		ready := err == nil && len(list.Items) > 0
		for _, s := range list.Items {
			ready = ready && (s.Adopted || s.Status == "ready")
		}
		if ready {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case err := <-h.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// services returns, for the admin port, whether each member is ready.
func (h *instance) services() []telemetry.ServiceInfo {
	members := h.started()
	out := make([]telemetry.ServiceInfo, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			out[i] = telemetry.ServiceInfo{Word: m.word, Address: m.url, Version: h.Version}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			var ready struct{}
			if err := getJSON(ctx, m.url+"/"+m.word+"/v1/ready", &ready); err != nil {
				out[i].Reason = err.Error()
				return
			}
			out[i].Ready = true
		})
	}
	wg.Wait()
	return out
}

// inquirer is the client for requests to members. Its callers set the time limits.
var inquirer = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * time.Second}}

// maxAnswer bounds how much of a member's response is read, in bytes.
const maxAnswer = 64 << 10

func getJSON(ctx context.Context, address string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := inquirer.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(body, &problem) // without a detail the error has only the status
		return fmt.Errorf("it answers %d %s", resp.StatusCode, problem.Detail)
	}
	return json.Unmarshal(body, out)
}
