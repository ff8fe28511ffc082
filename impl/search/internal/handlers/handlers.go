// Package handlers implements the service's contract: it translates between the contract's operations and calls of the engine and the
// store.
package handlers

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/openapi"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/commonapi"
	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/impl/search/internal/searchkeys"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
)

// Word is the name of the service in paths, settings and contracts.
const Word = "search"

// Core holds what the handlers need once the service is ready.
type Core struct {
	Engine  *engine.Engine
	Store   *store.Store
	Writer  *reindex.Writer // of documents
	Schemas *reindex.Schemas
	JobDue  func() // called when a job was accepted
	Facts   Facts
	// Sets synchronises the engine with the stored sets. Unapplied is called when that fails.
	Sets      *sets.Applier
	Unapplied func(ctx context.Context, err error)
	// SearchKeys creates keys for direct access to the engine; nil if the engine can't be reached directly. EngineDoor is the engine's
	// address for browsers, or "" if unknown.
	SearchKeys *searchkeys.Minter
	EngineDoor string
}

// Handlers implements the contract. It exists before its Core, so that health and readiness can be answered from the start.
type Handlers struct {
	Contract *contract.Contract
	Version  string
	Ready    func(ctx context.Context) error // why the service can't work, in words for callers; nil if it can
	core     atomic.Pointer[Core]
}

var _ searchapi.StrictServerInterface = (*Handlers)(nil)

// SetCore makes the service operational. Until then every operation other than health and readiness returns not_ready.
func (h *Handlers) SetCore(c *Core) { h.core.Store(c) }

// Mount mounts the generated router under the contract's base path.
func (h *Handlers) Mount(r chi.Router) {
	strict := searchapi.NewStrictHandlerWithOptions(h, nil, searchapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: httpserver.RequestError, ResponseErrorHandlerFunc: httpserver.ResponseError,
	})
	searchapi.HandlerWithOptions(direct{strict, h}, searchapi.ChiServerOptions{
		BaseRouter: r, BaseURL: h.Contract.BasePath, ErrorHandlerFunc: httpserver.ParameterError,
		Middlewares: []searchapi.MiddlewareFunc{httpserver.Remember(httpserver.Target)},
	})
}

func notReady(why string) error {
	return problem.New(problem.NotReady, "The service is not ready: "+why+".").WithRetryAfter(time.Second)
}

// begin returns the core and the caller.
func (h *Handlers) begin(ctx context.Context) (*Core, *auth.Principal, error) {
	core := h.core.Load()
	if core == nil {
		return nil, nil, notReady("it is starting")
	}
	p, ok := auth.FromContext(ctx)
	if !ok {
		return nil, nil, errors.New("operation was reached without a principal")
	}
	return core, p, nil
}

// GetSearchHealth implements searchapi.StrictServerInterface.
func (h *Handlers) GetSearchHealth(context.Context, searchapi.GetSearchHealthRequestObject) (searchapi.GetSearchHealthResponseObject, error) {
	return searchapi.GetSearchHealth200JSONResponse{Status: commonapi.HealthStatusOk, Service: Word, Version: h.Version}, nil
}

// GetSearchReadiness implements searchapi.StrictServerInterface.
func (h *Handlers) GetSearchReadiness(ctx context.Context, _ searchapi.GetSearchReadinessRequestObject) (searchapi.GetSearchReadinessResponseObject, error) {
	if err := h.Ready(ctx); err != nil {
		return nil, notReady(err.Error())
	}
	return searchapi.GetSearchReadiness200JSONResponse{Status: commonapi.ReadinessStatusReady, Service: Word, ContractDigest: new(openapi.Digest(Word))}, nil
}

// idempotencyKey returns the request's idempotency key, or nil if there is none.
func idempotencyKey(ctx context.Context, p *auth.Principal, operation string, value *string) *idempotency.Key {
	return httpserver.KeyOf(ctx, p.Subject, operation, value)
}

// event returns the audit event of a change.
func event(ctx context.Context, p *auth.Principal, action, target string) audit.Event {
	return audit.Event{
		Action: action, Actor: p.Subject, ActorKind: p.Kind, Target: target, Outcome: audit.OK, RequestID: httpserver.RequestID(ctx),
	}
}
