package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/requestid"
	"github.com/fountainai/fountain/internal/tracing"
)

// ObserveOptions configure Observe.
type ObserveOptions struct {
	Log            *slog.Logger
	Registerer     prometheus.Registerer
	Clock          clock.Clock
	TrustedProxies []netip.Prefix   // whose X-Request-Id, X-Forwarded-For and traceparent are believed
	AccessLog      config.AccessLog // which successful requests are logged
	Tracer         *tracing.Tracer  // nil: no traces are made
}

// observer gives every request an ID, a line in the access log and its metrics, and turns a panic into a problem.
type observer struct {
	ObserveOptions
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	unrouted *series  // of requests without an operation
	refusals sync.Map // the last refusal of each probe, by path; "" when it succeeded
}

func newObserver(o ObserveOptions) *observer {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_http_requests_total", Help: "Requests by operation and status; 499: the client left before the answer.",
	}, []string{"operation", "status"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fountain_http_request_duration_seconds", Help: "Time from the request's header to the end of its answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"operation"})
	made := &observer{ObserveOptions: o, requests: register(o.Registerer, requests), duration: register(o.Registerer, duration)}
	made.unrouted = made.newSeries(unmatched)
	return made
}

// observe creates the exchange of a request and serves it.
func (o *observer) observe(w http.ResponseWriter, r *http.Request, serve func(*Exchange)) {
	began := time.Now()
	peer := peerOf(r, o.TrustedProxies)
	x := newExchange(w, r, peer.requestID(r))
	x.ClientIP, x.Scheme, x.timeLeft = peer.clientIP(r, o.TrustedProxies), peer.scheme(r), peer.timeLeft(r)
	if o.Tracer != nil {
		x.trace = &exchangeTrace{trusted: peer.proxy, began: began}
	}
	client := r.Context() // ends with the client's connection, not with the operation's time
	r = x.Request         // the original request: stations replace it
	defer func() {
		answer := &x.answer
		aborted := recovered(o.Log, answer, r, recover())
		settle(answer, r, client.Err() != nil, aborted)
		x.endTrace(answer, aborted)
		o.account(&line{x: x, ctx: r.Context(), method: r.Method, answer: answer, took: time.Since(began), aborted: aborted})
		if aborted {
			panic(http.ErrAbortHandler)
		}
	}()
	serve(x)
}

// account adds one request to the metrics and the log.
func (o *observer) account(l *line) {
	s := o.series(l)
	s.answers(l.answer.status).Inc()
	s.duration.Observe(l.took.Seconds())
	l.again = o.toldBefore(l)
	l.write(o.Log, o.AccessLog)
}

// toldBefore reports whether a probe has the same refusal as the one before. There are ten a second while a service starts, and the log should show
// changes.
func (o *observer) toldBefore(l *line) bool {
	if l.x.Operation == nil || !Probe(l.x.Operation) {
		return false
	}
	said := ""
	if p := l.answer.problem; p != nil {
		said = p.Error()
	}
	before, there := o.refusals.Swap(l.x.Operation.Path, said)
	return there && said != "" && before == said
}

// refuseConnection answers a request that did not reach net/http, and ends its connection.
func (o *observer) refuseConnection(c *strictConn, e *problem.Error) {
	requestID := id.New("req")
	ctx := requestid.With(context.Background(), requestID)
	answer := &response{status: e.Status(), problem: e, bytes: c.lastAnswer(e, requestID)}
	x := &Exchange{ClientIP: addressIP(c.RemoteAddr().String()), RefusedBy: ByConnection}
	o.account(&line{x: x, ctx: ctx, answer: answer})
}

// register registers a collector, or returns the existing one of the same name: a service that is started again in one process continues its
// counters.
func register[C prometheus.Collector](to prometheus.Registerer, c C) C {
	err := to.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err) // two metrics with one name are a programming error
	}
	return c
}

// statusClientGone is logged and counted for a request whose client did not wait for the answer.
const statusClientGone = 499

// settle ends a request that was not answered: by a handler that wrote nothing, which net/http would send as an empty 200, or by one that failed
// because its client has disconnected, which is no fault of ours.
func settle(w *response, r *http.Request, gone, aborted bool) {
	switch {
	case gone && (w.status == 0 || w.problem != nil && w.status >= http.StatusInternalServerError):
		w.status = statusClientGone
	case aborted && w.status == 0:
		w.status = http.StatusInternalServerError
	case w.status == 0:
		problem.Write(w, r, errors.New("the handler answered nothing"))
	}
}

// recovered handles a panic. It reports whether the connection must be cut.
func recovered(log *slog.Logger, w *response, r *http.Request, v any) bool {
	if v == nil {
		return false
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	log.ErrorContext(r.Context(), "handler panicked", "requestId", RequestID(r.Context()), "panic", v, "stack", string(debug.Stack()))
	if w.status != 0 {
		return true
	}
	problem.Write(w, r, problem.New(problem.InternalError, "The service failed. Its log has the cause under the request ID."))
	return false
}

// requestID returns the ID sent by a trusted proxy when it has our form or that of a UUID, and otherwise a new one.
func (p peer) requestID(r *http.Request) string {
	if said := r.Header.Values("X-Request-Id"); p.proxy && len(said) == 1 && (id.Valid("req", said[0]) || plainUUID.MatchString(said[0])) {
		return said[0]
	}
	return id.New("req")
}

var plainUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
