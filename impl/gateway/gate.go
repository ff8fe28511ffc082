package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/gatewayapi"
	"github.com/fountainai/fountain/impl/gateway/internal/admit"
	"github.com/fountainai/fountain/impl/gateway/internal/apikey"
	"github.com/fountainai/fountain/impl/gateway/internal/forward"
	"github.com/fountainai/fountain/impl/gateway/internal/limit"
	"github.com/fountainai/fountain/impl/gateway/internal/member"
	"github.com/fountainai/fountain/impl/gateway/internal/services"
	"github.com/fountainai/fountain/impl/gateway/internal/stepup"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/ratelimit"
)

// gate is the running gateway.
type gate struct {
	config    Config
	members   *member.Registry
	shadows   *member.Shadows
	keys      *auth.JWKS
	verifier  *auth.Verifier
	traded    *apikey.Trader
	admit     *admit.Station
	limiter   *ratelimit.Limiter
	limits    *limit.Steps
	stepup    *stepup.Redeemer
	forwarder *forward.Forwarder
	watcher   *services.Watcher
	own       http.Handler
	cors      *httpserver.CORS
	draining  atomic.Bool
	hasKeys   atomic.Bool
	start     start
	require   []func() error // further conditions of readiness; their errors are in public words
}

// stations are the checks of a request after its route is known.
func (g *gate) stations() httpserver.Stations {
	s := httpserver.Checks(g.verifier)
	s.PreauthLimit = func(x *httpserver.Exchange) error {
		if err := g.atItsOrigin(x); err != nil {
			return err
		}
		if err := g.noPartOfAPage(x); err != nil {
			return err
		}
		x.Code = x.Request.Header.Get("X-Otp")
		x.Request.Header.Del("X-Otp") // no service behind the gateway gets a code
		return g.limits.Preauth(x)
	}
	byToken := s.Authenticate
	s.Authenticate = func(x *httpserver.Exchange) error {
		if err := g.start.await(x); err != nil {
			return err
		}
		isKey, err := g.traded.Authenticate(x)
		if !isKey {
			err = byToken(x)
		}
		if err != nil {
			return err
		}
		return auth.ForItAlone(x.Principal, x.Operation)
	}
	s.SubjectLimit = g.limits.Subject
	s.Target = g.awaitTarget
	s.Concurrency = g.limits.Concurrency
	s.StepUp = g.stepup.Ask
	s.Admission = g.admit.Admit
	s.RedeemCode = g.stepup.Redeem
	s.Serve = g.serve
	return s
}

func (g *gate) handler() http.Handler {
	return httpserver.NewDoor(httpserver.DoorOptions{
		ObserveOptions: httpserver.ObserveOptions{
			Log: g.config.Log, Registerer: g.config.Registerer, Clock: g.config.Clock, TrustedProxies: g.config.ProxyPrefixes(), AccessLog: g.config.AccessLog,
			Tracer: g.config.Tracer,
		},
		Hosts: httpserver.NewHosts(false, append(g.config.Names(word), g.config.Issuer, g.config.MembersOrigin)...), CORS: g.cors, Routes: g.members, Stations: g.stations(), Unknown: services.Unknown,
	})
}

// awaitTarget makes a request wait while its service is being restarted. It refuses an operation whose contract can't be checked.
func (g *gate) awaitTarget(x *httpserver.Exchange) error {
	switch {
	case x.Operation.Unsupported != "":
		return problem.New(problem.Unsupported, "The gateway can't check requests of this operation: "+x.Operation.Unsupported+".")
	case x.Operation.Word == word:
		return nil
	}
	return g.forwarder.Await(x)
}

// serve passes the request to the gateway's own operations or to the service.
func (g *gate) serve(x *httpserver.Exchange) (err error) {
	if x.Operation.Mount != "" {
		g.shadows.Request(x)
	}
	if x.Operation.Word != word {
		end := x.Call(g.config.Tracer)
		defer func() { end(err) }()
		return g.forwarder.Serve(x)
	}
	x.Forward(g.own)
	return nil
}

// ownHandler returns the handler of the gateway's own contract.
func (g *gate) ownHandler(own *http.Client) http.Handler {
	handlers := &services.Handlers{
		Watcher: g.watcher, Version: g.config.Version, Ready: g.ready, Client: own, Texts: &services.Texts{Adopted: g.members.Text}, Members: g.members,
	}
	strict := gatewayapi.NewStrictHandlerWithOptions(handlers, []gatewayapi.StrictMiddlewareFunc{services.Negotiated}, gatewayapi.StrictHTTPServerOptions{
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

// becomeReady fetches the kms's keys, retrying until it has them, and then waits for the channels of read to be closed.
func (g *gate) becomeReady(ctx context.Context, read ...<-chan struct{}) error {
	if err := lifecycle.Retry(ctx, g.config.Log, "the keys of the kms", g.keys.Ready); err != nil {
		return err
	}
	g.hasKeys.Store(true)
	for _, one := range read {
		select {
		case <-one:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.start.end()
	g.config.Log.InfoContext(ctx, "service is ready")
	g.config.OnReady()
	return nil
}
