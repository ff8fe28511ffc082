// Package handlers translates between the contract and the rules of packages factor, challenge and passkey. A handler reads the request, makes one call and
// writes the response.
package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/openapi"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/commonapi"
	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/requestid"
)

// Word is the name of the service in paths and settings.
const Word = "twofactor"

// Core is what the handlers call once the service has started.
type Core struct {
	Factors    *factor.Service
	Challenges *challenge.Service
	Passkeys   *passkey.Service
	Once       func(idempotency.Key) factor.Once
	// TwilioAccepts reports whether a callback was signed for a configured account.
	TwilioAccepts func(form url.Values, signature string) (bool, error)
}

// Handlers implements the contract. It exists before its Core, so that health and readiness are answered from the first moment.
type Handlers struct {
	Contract *contract.Contract
	Clock    clock.Clock
	Version  string
	Ready    func(ctx context.Context) error // nil when the service can work; otherwise the reason, worded for callers
	core     atomic.Pointer[Core]
}

var _ twofactorapi.StrictServerInterface = (*Handlers)(nil)

// SetCore sets what the handlers call. Until then every operation but health and readiness answers not_ready.
func (h *Handlers) SetCore(c *Core) { h.core.Store(c) }

// Mount mounts the operations under the contract's base path.
func (h *Handlers) Mount(r chi.Router) {
	strict := twofactorapi.NewStrictHandlerWithOptions(h, []twofactorapi.StrictMiddlewareFunc{withForm}, twofactorapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  httpserver.RequestError,
		ResponseErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) { httpserver.ResponseError(w, r, refuse(err)) },
	})
	twofactorapi.HandlerWithOptions(strict, twofactorapi.ChiServerOptions{
		BaseRouter: r, BaseURL: h.Contract.BasePath, ErrorHandlerFunc: httpserver.ParameterError,
	})
}

func notReady(why string) error {
	return problem.New(problem.NotReady, "The service is not ready: "+why+".").WithRetryAfter(time.Second)
}

// begin returns the core and the caller of a request, or a problem.
func (h *Handlers) begin(ctx context.Context) (*Core, factor.Caller, error) {
	core := h.core.Load()
	if core == nil {
		return nil, factor.Caller{}, notReady("it is starting")
	}
	p, ok := auth.FromContext(ctx)
	if !ok {
		return nil, factor.Caller{}, errors.New("operation was reached without a principal")
	}
	return core, h.caller(ctx, p), nil
}

// caller returns the caller for a principal, with what its sign-in proves now.
func (h *Handlers) caller(ctx context.Context, p *auth.Principal) factor.Caller {
	now := h.Clock.Now()
	return factor.Caller{
		Subject: p.Subject, Account: p.Username, Client: p.ClientID, Session: p.SessionID, Token: p.Token, RequestID: httpserver.RequestID(ctx), Address: requestid.Client(ctx),
		// The policy of enrolTotp says what counts as a second factor, for all operations that can ask for one.
		SecondFactor: auth.RequireStepUp(p, h.Contract.Operation("enrolTotp"), now),
		SignIn:       freshSignIn(p, now),
	}
}

// freshSignIn returns nil for a sign-in that is at most factor.FreshSignIn old, else the refusal that asks for one. Any level is enough, because a user without a factor
// can't give a code.
func freshSignIn(p *auth.Principal, now time.Time) error {
	age := now.Sub(p.AuthTime)
	if age <= factor.FreshSignIn && age >= -auth.Leeway {
		return nil
	}
	refusal := *problem.From(auth.Challenge(&contract.StepUp{ACR: contract.ACRPassword, MaxAge: factor.FreshSignIn}))
	refusal.Detail = "Sign in again: the first factor is enrolled within 15 minutes of it."
	return &refusal
}

// GetTwofactorHealth implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetTwofactorHealth(context.Context, twofactorapi.GetTwofactorHealthRequestObject) (twofactorapi.GetTwofactorHealthResponseObject, error) {
	return twofactorapi.GetTwofactorHealth200JSONResponse{Status: commonapi.HealthStatusOk, Service: Word, Version: h.Version}, nil
}

// GetTwofactorReadiness implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetTwofactorReadiness(ctx context.Context, _ twofactorapi.GetTwofactorReadinessRequestObject) (twofactorapi.GetTwofactorReadinessResponseObject, error) {
	if err := h.Ready(ctx); err != nil {
		return nil, notReady(err.Error())
	}
	return twofactorapi.GetTwofactorReadiness200JSONResponse{Status: commonapi.ReadinessStatusReady, Service: Word, ContractDigest: new(openapi.Digest(Word))}, nil
}
