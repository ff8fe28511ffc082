package httpserver

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/fountainai/fountain/internal/tracing"
)

// exchangeTrace is the trace of a request in a server with a tracer.
type exchangeTrace struct {
	trusted bool // the peer is trusted, and its trace is continued
	began   time.Time
	span    trace.Span // nil: it has none
}

func (x *Exchange) inTrace() bool { return x.trace != nil && x.trace.span != nil }

// beginTrace begins the span of a request, once its operation is known or none was found. Probes and long polls have none: they occur every few
// seconds.
func (x *Exchange) beginTrace(tracer *tracing.Tracer) {
	op := x.Operation
	if op != nil && recurring(op) {
		return
	}
	method := x.Request.Method
	name := method
	if !knownMethods[method] { // a client may send any text
		method, name = semconv.HTTPRequestMethodOther.Value.AsString(), "HTTP"
	}
	if op != nil {
		name += " " + op.Path
	}
	ctx, span := tracer.Accept(x.Request.Context(), x.Request.Header, x.trace.trusted, name, x.trace.began)
	x.trace.span = span
	x.Request = x.Request.WithContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLScheme(x.Scheme),
		semconv.ClientAddress(x.Client()), attribute.String("fountain.request_id", RequestID(ctx)))
	if op != nil { // then the host is one of our names
		span.SetAttributes(semconv.HTTPRoute(op.Path), attribute.String("fountain.operation_id", op.Label()), semconv.ServerAddress(hostname(x.Request.Host)))
	}
}

// endTrace ends the span of an answered request.
func (x *Exchange) endTrace(answer *response, aborted bool) {
	if !x.inTrace() {
		return
	}
	span := x.trace.span
	span.SetAttributes(semconv.HTTPResponseStatusCode(answer.status))
	if x.RefusedBy != "" {
		span.SetAttributes(attribute.String("fountain.refused_by", x.RefusedBy))
	}
	switch {
	case answer.status >= http.StatusInternalServerError && answer.problem != nil:
		tracing.Fail(span, string(answer.problem.Code))
	case answer.status >= http.StatusInternalServerError, aborted:
		tracing.Fail(span, "aborted")
	}
	span.End()
}

// Call begins the span of the call that forwards the request; until end, work on the exchange belongs to it. tracer must be the server's.
func (x *Exchange) Call(tracer *tracing.Tracer) (end func(err error)) {
	if !x.inTrace() {
		return func(error) {}
	}
	before := x.Request
	ctx, endSpan := tracer.Call(before.Context(), before.Method+" "+x.Operation.Path, semconv.HTTPRequestMethodKey.String(before.Method),
		semconv.URLTemplate(x.Operation.Path), attribute.String("fountain.operation_id", x.Operation.Label()))
	x.Request = before.WithContext(ctx)
	return func(err error) {
		x.Request = before
		status := 0
		if answer, ok := x.Writer.(*response); ok {
			status = answer.status
		}
		endSpan(status, err)
	}
}

// keepTrace returns ctx with the current span of the request.
func (x *Exchange) keepTrace(ctx context.Context) context.Context {
	if !x.inTrace() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, trace.SpanFromContext(x.Request.Context()))
}

// TraceHeader returns the header fields that name the current call as the parent of the service's work, or nil when the request is not traced here.
func (x *Exchange) TraceHeader() http.Header {
	if !x.inTrace() {
		return nil
	}
	header := http.Header{}
	tracing.Inject(x.Request.Context(), header)
	if len(header) == 0 {
		return nil
	}
	return header
}
