// Package httpserver is the HTTP server of a service: it observes every request, admits it only when the contract allows it, and passes it to the
// generated handler of its operation. The gateway's server has the same Stations in the same order; no byte of a body is read before the caller is authorized.
package httpserver

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/tracing"
)

// Options configure the handler of one service. All except TrustedProxies, AccessLog, Tracer and Hosts are required; Verifier may be nil when every
// operation is public.
type Options struct {
	Contract       *contract.Contract
	Verifier       *auth.Verifier
	Log            *slog.Logger
	Registerer     prometheus.Registerer
	Clock          clock.Clock
	Ready          func() error     // returns nil when the service can work; otherwise why not, in words that may be published
	TrustedProxies []netip.Prefix   // whose X-Request-Id and X-Forwarded-For are believed
	AccessLog      config.AccessLog // which successful requests are logged
	Tracer         *tracing.Tracer  // nil: no traces are made
	Hosts          *Hosts           // the names by which it is called; nil: any
	Mount          func(chi.Router) // mounts the generated handler under Contract.BasePath
}

// New returns the service's handler.
func New(o Options) http.Handler {
	for _, op := range o.Contract.Operations {
		if !op.Public && o.Verifier == nil {
			panic("httpserver: operation " + op.ID + " needs a verifier")
		}
	}
	router := chi.NewRouter()
	o.Mount(router)
	stations := Checks(o.Verifier)
	stations.Ready = o.ready
	stations.StepUp = o.stepUp
	to := o.operations(router)
	stations.Serve = func(x *Exchange) error {
		x.Forward(to)
		return nil
	}
	return NewDoor(DoorOptions{
		ObserveOptions: ObserveOptions{
			Log: o.Log, Registerer: o.Registerer, Clock: o.Clock, TrustedProxies: o.TrustedProxies, AccessLog: o.AccessLog, Tracer: o.Tracer,
		},
		Hosts: o.Hosts, Routes: o.Contract, Stations: stations,
	})
}

// operations returns the router's only handler when that handles everything and is an Operations by itself; otherwise the Operations of the router.
func (o *Options) operations(router *chi.Mux) http.Handler {
	if routes := router.Routes(); len(routes) == 1 && routes[0].Pattern == "/*" {
		if all := routes[0].Handlers["*"]; all != nil {
			return all
		}
	}
	return NewOperations(o.Contract, router)
}

func (o *Options) ready(x *Exchange) error {
	if Probe(x.Operation) {
		return nil
	}
	if err := o.Ready(); err != nil {
		return problem.New(problem.NotReady, "The service is not ready: "+err.Error()+".").WithRetryAfter(time.Second)
	}
	return nil
}

func (o *Options) stepUp(x *Exchange) error {
	if x.Operation.Public {
		return nil
	}
	return auth.StepUp(x.Principal, x.Operation, o.Clock.Now())
}

// Probe reports whether an operation reports health or readiness, and so is answered even when the service is not ready.
func Probe(op *contract.Operation) bool {
	return op.Public && (strings.HasSuffix(op.Path, "/health") || strings.HasSuffix(op.Path, "/ready"))
}

// begin binds the request to its operation: error form, deadline (of a stream its longest duration; a trusted proxy may set a shorter one), and
// no-store for answers that must not be cached. x.stop ends the deadline.
func (x *Exchange) begin() {
	op, header := x.Operation, x.Writer.Header()
	if op.Policy.Errors == contract.ErrorsOAuth {
		x.ctx.Context = problem.WithOAuthErrors(x.ctx.Context)
	}
	header["X-Content-Type-Options"] = noSniff
	if op.Policy.Sensitive || !op.Public {
		header["Cache-Control"] = noStore
	}
	if tags := x.Request.Header["If-None-Match"]; len(tags) > 0 && op.Declares(http.StatusNotModified) {
		x.answer.unless = strings.Join(tags, ",")
	}
	if outlivesToken(op) {
		x.ctx.Context, x.cancel = context.WithCancel(x.ctx.Context)
	}
	x.client = x.ctx.Context
	allowed := op.Policy.Timeout
	if op.Policy.Stream != nil {
		allowed = op.Policy.Stream.MaxDuration
	}
	if x.timeLeft > 0 {
		allowed = min(allowed, x.timeLeft) // the caller waits no longer
	}
	x.ctx.end = x.within(time.Now().Add(allowed))
}

// Values of headers that most answers have. They must not be modified: http.Header.Set and Add do not write to a slice of one value.
var noSniff, noStore = []string{"nosniff"}, []string{"no-store"}
