// Package handlers implements the operations of the kms's contract. Each handler converts the request, makes one call into the domain, and converts the
// result. problems.go turns refusals of the domain into problems; httpserver writes the errors.
package handlers

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/credential"
	"github.com/fountainai/fountain/impl/kms/internal/keyring"
	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/impl/kms/internal/openid"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/impl/kms/internal/records"
	"github.com/fountainai/fountain/impl/kms/internal/retention"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/impl/kms/internal/witness"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
)

// Word is the service's word.
const Word = "kms"

// Domain has the dependencies of the operations. It exists once the service has started.
type Domain struct {
	DB          *store.DB
	Audit       *audit.Chain
	Recorder    *audit.Recorder // records events that belong to no change
	Witness     *witness.Witness
	Retention   *retention.Retention
	Answers     *idempotency.Store
	Bootstrap   *user.Bootstrap
	Users       *user.Users
	Mails       *mail.Mails
	Roles       *role.Roles
	Refusals    *auditlog.Refusals
	Sessions    *session.Sessions
	OpenID      *openid.Provider
	Services    *service.Services
	Adoptions   *adoption.Adoptions
	TokenFiles  *service.Files
	APIKeys     *apikey.Keys
	Presented   *credential.Keys // checks API keys
	Clients     *credential.Clients
	Tokens      *credential.Tokens
	ProofKeys   *credential.ProofKeys
	Secrets     *secret.Secrets
	Policies    *policy.Policies // of secrets
	DataKeys    *secret.Keyrings // data keys of services
	Keyrings    *keyring.Keyrings
	Feed        *revocation.Feed
	Mint        *signing.Mint
	Ring        *signing.Ring
	SigningKeys *signing.Rotation
	RootKey     *vault.Rotation
	Records     *records.Records
	PublicURL   string // base of the endpoints' URLs in the metadata
}

// Handlers serves the contract: health and readiness from the beginning, and all other operations once it has its Domain.
type Handlers struct {
	Contract *contract.Contract
	Clock    clock.Clock
	Version  string
	Ready    func(ctx context.Context) error // nil when the service can work

	operations atomic.Pointer[httpserver.Operations]
	date       atomic.Pointer[date]
}

// api implements the generated strict server. Its Domain is nil before the service has started; until then httpserver admits only health and readiness
// requests.
type api struct {
	*Handlers
	*Domain
}

var _ kmsapi.StrictServerInterface = api{}

// Start makes the operations available with their domain.
func (h *Handlers) Start(d *Domain) { h.operations.Store(h.routes(d)) }

// Mount registers the operations under the contract's base path.
func (h *Handlers) Mount(r chi.Router) {
	h.Start(nil)
	r.Handle("/*", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = h.dateNow()
		h.operations.Load().ServeHTTP(w, r)
	}))
}

func (h *Handlers) routes(d *Domain) *httpserver.Operations {
	strict := kmsapi.NewStrictHandlerWithOptions(api{h, d}, []kmsapi.StrictMiddlewareFunc{translated, receive}, kmsapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: httpserver.RequestError, ResponseErrorHandlerFunc: httpserver.ResponseError,
	})
	router := chi.NewRouter()
	kmsapi.HandlerWithOptions(strict, kmsapi.ChiServerOptions{
		BaseRouter: router, BaseURL: h.Contract.BasePath, ErrorHandlerFunc: httpserver.ParameterError,
		Middlewares: []kmsapi.MiddlewareFunc{httpserver.Remember(httpserver.BareTarget)},
	})
	return httpserver.NewOperations(h.Contract, router)
}

// date is the Date header of one second.
type date struct {
	second int64
	header []string
}

// dateNow returns the Date header of the clock by which tokens and codes are checked here; services compare their own clock with it. The slice must not be
// modified.
func (h *Handlers) dateNow() []string {
	now := h.Clock.Now()
	known := h.date.Load()
	if known == nil || known.second != now.Unix() {
		known = &date{now.Unix(), []string{now.UTC().Format(http.TimeFormat)}}
		h.date.Store(known)
	}
	return known.header
}

// received is what handlers need of the request besides the decoded parts.
type received struct {
	id, secret string // HTTP Basic
	basic      bool
	unreadable bool // there is an Authorization header other than HTTP Basic
	origin     []string
	sentTo     string // the origin that the client sent it to
	agent      string // the User-Agent
}

type receivedKey struct{}

func receive(next kmsapi.StrictHandlerFunc, _ string) kmsapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		return next(context.WithValue(ctx, receivedKey{}, r), w, r, request)
	}
}

func receivedFrom(ctx context.Context) (in received) {
	r, ok := ctx.Value(receivedKey{}).(*http.Request)
	if !ok {
		return received{}
	}
	in.id, in.secret, in.basic = r.BasicAuth()
	in.origin, in.sentTo, in.agent = r.Header["Origin"], sentTo(r), r.UserAgent()
	in.unreadable = !in.basic && len(r.Header.Values("Authorization")) > 0
	return in
}

// sentTo returns the origin that a client sent a request to: the one that the gateway reports, or else that of this server. A program that reaches the kms
// directly can claim any origin, as it can set any Origin header; a page in a browser can't.
func sentTo(r *http.Request) string {
	scheme, host := r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host")
	if host == "" {
		host = r.Host
	}
	if scheme == "" {
		scheme = "http"
	}
	return scheme + "://" + host
}

// caller returns the principal of the request. Requests without one were refused before.
func caller(ctx context.Context) *auth.Principal {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return &auth.Principal{}
	}
	return p
}

// stepUp requires the second factor that the contract names for the operation.
func (h *Handlers) stepUp(ctx context.Context) error {
	return auth.RequireStepUp(caller(ctx), httpserver.OperationFrom(ctx), h.Clock.Now())
}

// keyCaller returns the caller for operations on keys.
func (h *Handlers) keyCaller(ctx context.Context) apikey.Caller {
	return apikey.Caller{Principal: caller(ctx), StepUp: func() error { return h.stepUp(ctx) }}
}
