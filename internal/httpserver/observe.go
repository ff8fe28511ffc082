package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/problem"
)

// ObserveOptions configure Observe.
type ObserveOptions struct {
	Log            *slog.Logger
	Registerer     prometheus.Registerer
	Clock          clock.Clock
	TrustedProxies []netip.Prefix
}

// Notes is what the inner handlers tell the access log and the metrics.
type Notes struct {
	Operation *contract.Operation
	Subject   string
	RefusedBy string // the step that refused
	BodyRead  bool   // the body was read to its end
}

type notesKey struct{}

// Note returns the notes of a request; outside Observe they lead nowhere.
func Note(ctx context.Context) *Notes {
	if n, ok := ctx.Value(notesKey{}).(*Notes); ok {
		return n
	}
	return &Notes{}
}

// Observe gives every request an id, a log line and its place in the metrics, and turns a panic into a problem.
func Observe(o ObserveOptions, next http.Handler) http.Handler {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_http_requests_total", Help: "Requests by operation and status.",
	}, []string{"operation", "status"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fountain_http_request_duration_seconds", Help: "Time from the request's header to the end of its answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"operation"})
	requests, duration = register(o.Registerer, requests), register(o.Registerer, duration)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		notes := &Notes{}
		requestID := requestID(r, o.TrustedProxies)
		ctx := problem.WithRequestID(context.WithValue(r.Context(), notesKey{}, notes), requestID)
		answer := &response{ResponseWriter: w}
		answer.Header().Set("X-Request-Id", requestID)
		r = r.WithContext(ctx)
		defer func() {
			aborted := recovered(o.Log, answer, r, recover())
			took := time.Since(began)
			operation := "unmatched"
			if notes.Operation != nil {
				operation = notes.Operation.ID
			}
			requests.WithLabelValues(operation, strconv.Itoa(answer.status)).Inc()
			duration.WithLabelValues(operation).Observe(took.Seconds())
			logLine(o.Log, r, answer, notes, operation, took)
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(answer, r)
		unanswered(answer, r)
	})
}

// register registers a collector, or returns the one of the same name: a service that is started again in one process keeps counting.
func register[C prometheus.Collector](to prometheus.Registerer, c C) C {
	err := to.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err) // two metrics of one name: a fault of the program
	}
	return c
}

// statusClientGone is what the log and the metrics say of a request whose client did not wait for the answer.
const statusClientGone = 499

// unanswered deals with a handler that wrote nothing, which net/http would send as an empty 200: a strict handler that returned
// neither an answer nor an error.
func unanswered(w *response, r *http.Request) {
	switch {
	case w.status != 0:
	case r.Context().Err() != nil:
		w.status = statusClientGone
	default:
		problem.Write(w, r, errors.New("the handler answered nothing"))
	}
}

// recovered deals with a panic; it reports whether the connection must be cut.
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
	problem.Write(w, r, problem.New(problem.InternalError, "The service failed. The request id finds the cause in its log."))
	return false
}

func logLine(log *slog.Logger, r *http.Request, w *response, n *Notes, operation string, took time.Duration) {
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("requestId", RequestID(r.Context())), slog.String("operationId", operation), slog.String("method", r.Method),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes), slog.Float64("tookMs", float64(took.Microseconds())/1000),
	}
	if n.Subject != "" {
		attrs = append(attrs, slog.String("subject", n.Subject))
	}
	if n.RefusedBy != "" {
		attrs = append(attrs, slog.String("refusedBy", n.RefusedBy))
	}
	if w.problem != nil {
		attrs = append(attrs, slog.String("code", string(w.problem.Code)))
		switch {
		case w.status == http.StatusNotImplemented: // a method nobody knows, which anybody can send
		case r.Context().Err() != nil && errors.Is(w.problem, context.Canceled): // the caller left, and with it the work
			attrs = append(attrs, slog.String("err", w.problem.Error()))
		case w.status == http.StatusServiceUnavailable: // it says itself that it passes
			attrs = append(attrs, slog.String("err", w.problem.Error()))
		case w.status >= http.StatusInternalServerError:
			level = slog.LevelError
			attrs = append(attrs, slog.String("err", w.problem.Error()))
		}
	}
	log.LogAttrs(r.Context(), level, "request", attrs...)
}

// requestID believes the id of a trusted proxy when it has the form of ours or of a UUID, and makes one otherwise.
func requestID(r *http.Request, trusted []netip.Prefix) string {
	if said := r.Header.Values("X-Request-Id"); len(said) == 1 && contains(trusted, peerIP(r)) && (id.Valid("req", said[0]) || plainUUID.MatchString(said[0])) {
		return said[0]
	}
	return id.New("req")
}

var plainUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// response remembers what was answered. It implements http.Flusher itself, because a stream would silently be buffered
// behind a wrapper that only unwraps.
type response struct {
	http.ResponseWriter
	status  int
	bytes   int64
	problem *problem.Error
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot flush has nothing to be flushed
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// RecordProblem implements problem.Recorder.
func (w *response) RecordProblem(e *problem.Error) { w.problem = e }

// started reports whether the answer's first byte is out.
func (w *response) started() bool { return w.status != 0 }
