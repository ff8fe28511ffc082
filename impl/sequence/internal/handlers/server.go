// Package handlers translates between the contract and the domain. A handler reads the request, makes one call and writes the response. The rules are in the domain.
package handlers

import (
	"context"

	"github.com/fountainai/fountain/openapi"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/commonapi"
	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// Server implements every operation of the contract.
type Server struct {
	Store       *store.Store
	Writer      *writer.Writer
	Search      Searcher
	DeadLetters DeadLetters
	Followers   *writer.Followers
	Transfer    Transfer
	Reindex     Reindexer
	Stopping    <-chan struct{}                 // closed when the service stops, which ends waits for changes
	Ready       func(ctx context.Context) error // nil when the service can work; otherwise the reason, worded for callers
	NewID       func() string
	Version     string // of the program
}

// Searcher searches elements.
type Searcher interface {
	Search(ctx context.Context, q searchsync.Query) (searchsync.Result, error)
}

var _ sequenceapi.StrictServerInterface = (*Server)(nil)

// Mount mounts the operations under the contract's base path.
func (s *Server) Mount(c *contract.Contract) func(chi.Router) {
	return func(r chi.Router) {
		strict := sequenceapi.NewStrictHandlerWithOptions(s, nil, sequenceapi.StrictHTTPServerOptions{
			RequestErrorHandlerFunc: httpserver.RequestError, ResponseErrorHandlerFunc: httpserver.ResponseError,
		})
		sequenceapi.HandlerWithOptions(strict, sequenceapi.ChiServerOptions{
			BaseRouter: r, BaseURL: c.BasePath, ErrorHandlerFunc: httpserver.ParameterError,
			Middlewares: []sequenceapi.MiddlewareFunc{httpserver.Remember(target)},
		})
	}
}

// GetSequenceHealth reports that the process is running.
func (s *Server) GetSequenceHealth(context.Context, sequenceapi.GetSequenceHealthRequestObject) (sequenceapi.GetSequenceHealthResponseObject, error) {
	return sequenceapi.GetSequenceHealth200JSONResponse(commonapi.Health{Status: commonapi.HealthStatusOk, Service: "sequence", Version: s.Version}), nil
}

// GetSequenceReadiness reports whether the service can work.
func (s *Server) GetSequenceReadiness(ctx context.Context, _ sequenceapi.GetSequenceReadinessRequestObject) (sequenceapi.GetSequenceReadinessResponseObject, error) {
	if err := s.Ready(ctx); err != nil {
		return nil, problem.New(problem.NotReady, "The service is not ready: "+err.Error()+".").WithRetryAfter(readyPause)
	}
	return sequenceapi.GetSequenceReadiness200JSONResponse(commonapi.Readiness{Status: commonapi.ReadinessStatusReady, Service: "sequence", ContractDigest: new(openapi.Digest("sequence"))}), nil
}

func group(scope, elementType string) domain.Group {
	return domain.Group{Scope: scope, ElementType: elementType}
}

func ref(scope, elementType, id string) domain.Ref {
	return domain.Ref{Group: group(scope, elementType), ID: id}
}
