package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/gatewayapi"
	"github.com/fountainai/fountain/impl/gateway/internal/exchange"
	"github.com/fountainai/fountain/impl/gateway/internal/forward"
	"github.com/fountainai/fountain/impl/gateway/internal/limit"
	"github.com/fountainai/fountain/impl/gateway/internal/services"
	"github.com/fountainai/fountain/impl/gateway/internal/stepup"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// gate is the running gateway.
type gate struct {
	config    Config
	table     *contract.Table
	keys      *auth.JWKS
	verifier  *auth.Verifier
	limits    *limit.Steps
	stepup    *stepup.Redeemer
	forwarder *forward.Forwarder
	watcher   *services.Watcher
	own       http.Handler
	draining  atomic.Bool
	hasKeys   atomic.Bool
	require   []func() error // what must hold beside the keys, in public words
}

// steps are the way of a request after its route is known, in the order of DESIGN section 5. No byte of a body is read before
// authorization has passed, and a code is redeemed last, so that a refused request never burns it.
func (g *gate) steps() []exchange.Step {
	return []exchange.Step{
		{Name: "pre-auth limit", Do: g.limits.Preauth},
		{Name: "authenticate", Do: g.authenticate},
		{Name: "permit", Do: permit},
		{Name: "subject limit", Do: g.limits.Subject},
		{Name: "concurrency", Do: g.limits.Concurrency},
		{Name: "step-up", Do: g.stepup.Ask},
		{Name: "media", Do: func(x *exchange.Exchange) error { return x.Operation.CheckMedia(x.Request) }},
		{Name: "parameters", Do: func(x *exchange.Exchange) error { return x.Operation.CheckParameters(x.Request, x.Match) }},
		{Name: "body", Do: checkBody},
		{Name: "redeem code", Do: g.stepup.Redeem},
		{Name: "forward", Do: g.forward},
	}
}

// handler observes every request and takes it through guard, route and method, then the steps.
func (g *gate) handler() http.Handler {
	steps := g.steps()
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := httpserver.Guard(r); err != nil {
			httpserver.Refuse(w, r, err)
			return
		}
		if r.Method == http.MethodOptions {
			g.options(w, r)
			return
		}
		match, err := g.table.Match(r.Method, r.URL.EscapedPath())
		if err != nil {
			httpserver.Refuse(w, r, err)
			return
		}
		r, cancel := httpserver.WithOperation(w, r, match.Operation)
		defer cancel()
		x := &exchange.Exchange{
			Writer: w, Request: r, Match: match, Operation: match.Operation,
			ClientIP: httpserver.ClientIP(r, g.config.ProxyPrefixes()), Code: r.Header.Get("X-OTP"),
		}
		r.Header.Del("X-OTP")
		step, err := exchange.Run(x, steps)
		if err != nil {
			httpserver.Note(r.Context()).RefusedBy = step
			httpserver.Refuse(w, x.Request, err)
		}
	})
	return httpserver.Observe(httpserver.ObserveOptions{
		Log: g.config.Log, Registerer: g.config.Registerer, Clock: g.config.Clock, TrustedProxies: g.config.ProxyPrefixes(),
	}, serve)
}

// options answers OPTIONS with the methods that the path knows.
func (g *gate) options(w http.ResponseWriter, r *http.Request) {
	allow, err := g.table.Allow(r.URL.EscapedPath())
	if err != nil {
		httpserver.Refuse(w, r, err)
		return
	}
	w.Header().Set("Allow", allow)
	w.WriteHeader(http.StatusNoContent)
}

func (g *gate) authenticate(x *exchange.Exchange) error {
	if x.Operation.Public {
		return nil
	}
	p, err := httpserver.Authenticate(x.Request, g.verifier, x.Operation.Word)
	if err != nil {
		return err
	}
	x.Principal = p
	httpserver.Note(x.Request.Context()).Subject = p.Subject
	return nil
}

func permit(x *exchange.Exchange) error {
	if x.Operation.Public {
		return nil
	}
	return auth.Permit(x.Principal, x.Operation)
}

func checkBody(x *exchange.Exchange) error {
	if x.Operation.StreamsBody() {
		return nil
	}
	body, err := httpserver.ReadBody(x.Writer, x.Request, x.Operation)
	if err != nil {
		return err
	}
	x.Body = body
	return httpserver.InTurn(x.Request.Context(), len(body), func() error {
		return x.Operation.CheckBody(x.Request.Header.Get("Content-Type"), body)
	})
}

// forward hands the request to the gateway's own operations or to the service.
func (g *gate) forward(x *exchange.Exchange) error {
	if x.Operation.Word != word {
		return g.forwarder.Do(x)
	}
	x.Answered = true
	r := x.Request
	if r.Method == http.MethodHead { // the router knows only the declared method; net/http still sends no body
		r = r.WithContext(r.Context())
		r.Method = http.MethodGet
	}
	g.own.ServeHTTP(x.Writer, r)
	return nil
}

// ownHandler serves the gateway's own contract.
func (g *gate) ownHandler(kms *url.URL, client *http.Client) http.Handler {
	handlers := &services.Handlers{Watcher: g.watcher, Version: g.config.Version, Ready: g.ready, KMS: kms, Client: client}
	strict := gatewayapi.NewStrictHandlerWithOptions(handlers, nil, gatewayapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: httpserver.RequestError, ResponseErrorHandlerFunc: httpserver.ResponseError,
	})
	router := chi.NewRouter()
	return gatewayapi.HandlerWithOptions(strict, gatewayapi.ChiServerOptions{BaseRouter: router, ErrorHandlerFunc: httpserver.ParameterError})
}

func (g *gate) ready() error {
	switch {
	case g.draining.Load():
		return errors.New("it is shutting down")
	case !g.hasKeys.Load():
		return errors.New("it has no keys to verify tokens with yet")
	}
	for _, condition := range g.require {
		if err := condition(); err != nil {
			return err
		}
	}
	return nil
}

// becomeReady asks for the kms's keys until it has them, and waits until the revocation feed was read.
func (g *gate) becomeReady(ctx context.Context, feedRead <-chan struct{}) error {
	if err := lifecycle.Retry(ctx, g.config.Log, "the keys of the kms", g.keys.Ready); err != nil {
		return err
	}
	g.hasKeys.Store(true)
	select {
	case <-feedRead:
	case <-ctx.Done():
		return ctx.Err()
	}
	g.config.Log.InfoContext(ctx, "service is ready")
	g.config.OnReady()
	return nil
}
