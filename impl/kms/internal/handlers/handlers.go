// Package handlers is the kms's side of its contract: each handler translates in, makes one call into the domain, and translates
// out. Errors leave through the doors of httpserver.
package handlers

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// Word is the service's word.
const Word = "kms"

// Core is the domain, there when the service is ready.
type Core struct {
	DB         *store.DB
	Answers    *idempotency.Store
	Bootstrap  *user.Bootstrap
	Users      *user.Users
	Sessions   *session.Sessions
	Services   *service.Services
	TokenFiles *service.Files
	Keys       *apikey.Keys
	Secrets    *secret.Secrets
	Keyrings   *secret.Keyrings
	ProofKeys  *credential.ProofKeys
	Mint       *signing.Mint
	Ring       *signing.Ring
	PublicURL  string // base of the endpoints' URLs in the metadata
}

// Handlers implements the generated strict server.
type Handlers struct {
	Contract *contract.Contract
	Clock    clock.Clock
	Version  string
	Ready    func() error // nil when the service can work

	core atomic.Pointer[Core]
}

var _ kmsapi.StrictServerInterface = (*Handlers)(nil)

// SetCore gives the handlers their domain. Until then only health and readiness may be asked.
func (h *Handlers) SetCore(c *Core) { h.core.Store(c) }

// Mount mounts the generated router under the contract's base path.
func (h *Handlers) Mount(r chi.Router) {
	strict := kmsapi.NewStrictHandlerWithOptions(h, []kmsapi.StrictMiddlewareFunc{challenged, receive}, kmsapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: httpserver.RequestError, ResponseErrorHandlerFunc: httpserver.ResponseError,
	})
	kmsapi.HandlerWithOptions(strict, kmsapi.ChiServerOptions{
		BaseRouter: r, BaseURL: h.Contract.BasePath, ErrorHandlerFunc: httpserver.ParameterError,
		Middlewares: []kmsapi.MiddlewareFunc{h.date},
	})
}

// date answers with the time by which tokens and codes are judged here: services compare their own clock with it.
func (h *Handlers) date(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", h.Clock.Now().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// received is what a handler needs of the request beside the decoded parts.
type received struct {
	target     string // escaped path and query
	id, secret string // HTTP Basic
	basic      bool
	unreadable bool // an Authorization header that is not HTTP Basic
}

type receivedKey struct{}

func receive(next kmsapi.StrictHandlerFunc, _ string) kmsapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		in := received{target: r.URL.RequestURI()}
		in.id, in.secret, in.basic = r.BasicAuth()
		in.unreadable = !in.basic && len(r.Header.Values("Authorization")) > 0
		return next(context.WithValue(ctx, receivedKey{}, in), w, r, request)
	}
}

func receivedFrom(ctx context.Context) received {
	in, _ := ctx.Value(receivedKey{}).(received)
	return in
}

// challenged sees to it that every 401 says how to authenticate (RFC 9110, section 11.6.1).
func challenged(next kmsapi.StrictHandlerFunc, _ string) kmsapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		answer, err := next(ctx, w, r, request)
		if err == nil {
			return answer, nil
		}
		var known *problem.Error
		if errors.As(err, &known) && known.Status() == http.StatusUnauthorized && known.Header.Get("WWW-Authenticate") == "" {
			return nil, known.WithHeader("WWW-Authenticate", `Bearer realm="fountain"`)
		}
		return nil, err
	}
}

// caller returns who calls; the door has let nobody else in.
func caller(ctx context.Context) *auth.Principal {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return &auth.Principal{}
	}
	return p
}
