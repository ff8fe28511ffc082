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

// exchangeTrace is what a door with a tracer knows of a request's trace.
type exchangeTrace struct {
	trusted bool // the peer: whose trace is gone on with
	began   time.Time
	span    trace.Span // nil: it has none
}

func (x *Exchange) inTrace() bool { return x.trace != nil && x.trace.span != nil }

// beginTrace begins the span of a request, once its operation is known or none was found. Probes and long polls have
// none: they come every few seconds, whatever happens.
func (x *Exchange) beginTrace(tracer *tracing.Tracer) {
	op := x.Operation
	if op != nil && recurring(op) {
		return
	}
	method := x.Request.Method
	name := method
	if !knownMethods[method] { // a stranger chooses its text
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
	if op != nil { // then the name that it was called by is one of ours
		span.SetAttributes(semconv.HTTPRoute(op.Path), attribute.String("fountain.operation_id", op.Label()), semconv.ServerAddress(hostname(x.Request.Host)))
	}
}

// endTrace ends the span of a request that was answered.
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

// Call begins the span of the call that forwards the request; what is done with the exchange until end belongs to it. The tracer is that of
// the door.
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

// keepTrace returns ctx with the span that the request is in now.
func (x *Exchange) keepTrace(ctx context.Context) context.Context {
	if !x.inTrace() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, trace.SpanFromContext(x.Request.Context()))
}

// TraceHeader returns the fields that name the call in flight as the parent of what the service does; nil when the request has no trace here.
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
