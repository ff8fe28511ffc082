// Package httpserver is the way into a service: it observes every request, lets it through only when the contract allows it,
// and hands it to the generated router. The order of the checks is DESIGN section 5's; no byte of a body is read before the
// caller is authorized. Its pieces are exported one by one, because the gateway puts the same ones into its own order.
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
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Options configure the handler of one service. All but TrustedProxies are required; Verifier may be nil when every
// operation is public.
type Options struct {
	Contract       *contract.Contract
	Verifier       *auth.Verifier
	Log            *slog.Logger
	Registerer     prometheus.Registerer
	Clock          clock.Clock
	Ready          func() error     // nil when the service can work; else why it can't, in public words
	TrustedProxies []netip.Prefix   // whose X-Request-Id is believed
	Mount          func(chi.Router) // mounts the generated handler under Contract.BasePath
}

type operationKey struct{}

// OperationFrom returns the operation that a request was matched with.
func OperationFrom(ctx context.Context) *contract.Operation {
	op, _ := ctx.Value(operationKey{}).(*contract.Operation)
	return op
}

// RequestID returns the id of the request, as it stands in its log line and in its problem.
func RequestID(ctx context.Context) string { return problem.RequestID(ctx) }

// New returns the service's handler.
func New(o Options) http.Handler {
	for _, op := range o.Contract.Operations {
		if !op.Public && o.Verifier == nil {
			panic("httpserver: operation " + op.ID + " needs a verifier")
		}
	}
	router := chi.NewRouter()
	router.NotFound(unmounted)
	router.MethodNotAllowed(unmounted)
	o.Mount(router)
	return Observe(ObserveOptions{Log: o.Log, Registerer: o.Registerer, Clock: o.Clock, TrustedProxies: o.TrustedProxies}, &door{Options: o, next: router})
}

// door is the service's own gate.
type door struct {
	Options
	next http.Handler
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, cancel, err := d.admit(w, r)
	defer cancel()
	if err != nil {
		Refuse(w, r, err)
		return
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Method == http.MethodHead { // net/http still knows that it was HEAD, and sends no body
		r = r.WithContext(r.Context())
		r.Method = http.MethodGet
	}
	d.next.ServeHTTP(w, r)
}

// admit takes the request through the checks in their order.
func (d *door) admit(w http.ResponseWriter, r *http.Request) (*http.Request, context.CancelFunc, error) {
	nothing := func() {}
	if err := Guard(r); err != nil {
		return r, nothing, err
	}
	if r.Method == http.MethodOptions {
		allow, err := d.Contract.Allow(r.URL.EscapedPath())
		if err == nil {
			w.Header().Set("Allow", allow)
		}
		return r, nothing, err
	}
	match, err := d.Contract.Match(r.Method, r.URL.EscapedPath())
	if err != nil {
		return r, nothing, err
	}
	r, cancel := WithOperation(w, r, match.Operation)
	if r, err = d.authorize(r, match.Operation); err != nil {
		return r, cancel, err
	}
	return r, cancel, d.checkContent(w, r, match)
}

// authorize decides about the caller; it returns the request with its principal.
func (d *door) authorize(r *http.Request, op *contract.Operation) (*http.Request, error) {
	if !Probe(op) {
		if err := d.Ready(); err != nil {
			return r, problem.New(problem.NotReady, "The service is not ready: "+err.Error()+".").WithRetryAfter(time.Second)
		}
	}
	if op.Public {
		return r, nil
	}
	p, err := Authenticate(r, d.Verifier, op.Word)
	if err != nil {
		return r, err
	}
	r = r.WithContext(auth.NewContext(r.Context(), p))
	Note(r.Context()).Subject = p.Subject
	return r, auth.Authorize(p, op, d.Clock.Now())
}

// checkContent holds what was sent against the contract.
func (d *door) checkContent(w http.ResponseWriter, r *http.Request, match *contract.Match) error {
	op := match.Operation
	if err := op.CheckMedia(r); err != nil {
		return err
	}
	if err := op.CheckParameters(r, match); err != nil {
		return err
	}
	if op.StreamsBody() {
		return nil
	}
	body, err := ReadBody(w, r, op)
	if err != nil {
		return err
	}
	return InTurn(r.Context(), len(body), func() error { return op.CheckBody(r.Header.Get("Content-Type"), body) })
}

// Probe reports whether an operation tells health or readiness, and so is answered even when the service is not ready.
func Probe(op *contract.Operation) bool {
	return op.Public && (strings.HasSuffix(op.Path, "/health") || strings.HasSuffix(op.Path, "/ready"))
}

// WithOperation binds the request to its operation: context, error form, deadline (a stream's is its longest duration), and no-store
// for what must not be kept. cancel ends the deadline.
func WithOperation(w http.ResponseWriter, r *http.Request, op *contract.Operation) (*http.Request, context.CancelFunc) {
	ctx := context.WithValue(r.Context(), operationKey{}, op)
	Note(ctx).Operation = op
	if op.Policy.Errors == contract.ErrorsOAuth {
		ctx = problem.WithOAuthErrors(ctx)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if op.Policy.Sensitive || !op.Public {
		w.Header().Set("Cache-Control", "no-store")
	}
	if stream := op.Policy.Stream; stream != nil {
		end, connection := time.Now().Add(stream.MaxDuration), http.NewResponseController(w)
		_, _ = connection.SetReadDeadline(end), connection.SetWriteDeadline(end) // a test recorder has none to set
		ctx, cancel := context.WithDeadline(ctx, end)
		return r.WithContext(ctx), cancel
	}
	ctx, cancel := context.WithTimeout(ctx, op.Policy.Timeout)
	return r.WithContext(ctx), cancel
}

// Authenticate verifies the request's bearer token for an audience.
func Authenticate(r *http.Request, v *auth.Verifier, audience string) (*auth.Principal, error) {
	token, err := auth.Bearer(r)
	if err != nil {
		return nil, err
	}
	return v.Verify(r.Context(), token, audience)
}
