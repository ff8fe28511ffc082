package httpserver

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/fountainai/fountain/internal/tracing"
)

// beginTrace begins the span of a request, once its operation is known or none was found. Probes and long polls have
// none: they come every few seconds, whatever happens.
func (d *door) beginTrace(x *Exchange) {
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
	ctx, span := d.Tracer.Accept(x.Request.Context(), x.Request.Header, x.peer.proxy, name, x.began)
	x.span, x.TraceID = span, span.SpanContext().TraceID().String()
	x.Request = x.Request.WithContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLScheme(x.Scheme),
		semconv.ClientAddress(x.ClientIP.String()), attribute.String("fountain.request_id", RequestID(ctx)))
	if op != nil { // then the name that it was called by is one of ours
		span.SetAttributes(semconv.HTTPRoute(op.Path), attribute.String("fountain.operation_id", op.ID), semconv.ServerAddress(hostname(x.Request.Host)))
	}
}

// endTrace ends the span of a request that was answered.
func (x *Exchange) endTrace(answer *response, aborted bool) {
	if x.span == nil {
		return
	}
	x.span.SetAttributes(semconv.HTTPResponseStatusCode(answer.status))
	if x.RefusedBy != "" {
		x.span.SetAttributes(attribute.String("fountain.refused_by", x.RefusedBy))
	}
	switch {
	case answer.status >= http.StatusInternalServerError && answer.problem != nil:
		tracing.Fail(x.span, string(answer.problem.Code))
	case answer.status >= http.StatusInternalServerError, aborted:
		tracing.Fail(x.span, "aborted")
	}
	x.span.End()
}

// Call begins the span of the call that forwards the request; what is done with the exchange until end belongs to it. The tracer is that of
// the door.
func (x *Exchange) Call(tracer *tracing.Tracer) (end func(err error)) {
	if x.span == nil {
		return func(error) {}
	}
	before := x.Request
	ctx, endSpan := tracer.Call(before.Context(), before.Method+" "+x.Operation.Path, semconv.HTTPRequestMethodKey.String(before.Method),
		semconv.URLTemplate(x.Operation.Path), attribute.String("fountain.operation_id", x.Operation.ID))
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

// InjectTrace names the call in flight as the parent of what the service does, in place of what the client said. It changes nothing when
// the request has no trace here.
func (x *Exchange) InjectTrace(header http.Header) {
	if x.span != nil {
		tracing.Inject(x.Request.Context(), header)
	}
}
