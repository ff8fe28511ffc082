// Package tracing makes OpenTelemetry spans of what a service does for a request, and sends them to a collector by OTLP over HTTP
// (opentelemetry.io/docs/specs/otlp). Context is propagated between services in W3C format (w3.org/TR/trace-context).
//
// A nil *Tracer is disabled: its methods do nothing and allocate nothing. There is no global tracer: a service gets its own with its configuration.
//
// A span contains what the access log may contain: operations, path templates, statuses, statements with placeholders. It never contains a path, a
// query, a header, a body, a subject, an argument of a statement or the text of an error.
package tracing

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Options configure a Tracer. All are required.
type Options struct {
	Service    string       // the service's word
	Version    string       // of the program
	Instance   string       // distinguishes replicas
	Endpoint   string       // URL that takes ExportTraceServiceRequest by POST
	Header     http.Header  // for the collector; may hold secrets
	Client     *http.Client // calls the collector; its timeout bounds one attempt
	Share      float64      // of the traces that begin here that are sampled, from 0 to 1
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Bounds of a tracer.
const (
	maxPending  = 2048            // spans in the queue; further ones are dropped
	maxBatch    = 512             // spans of one call
	batchPause  = 2 * time.Second // between two calls, unless a batch is full earlier
	exportTime  = 30 * time.Second
	maxText     = 2048 // bytes of an attribute
	maxPerSpan  = 32   // attributes, events, links
	closingTime = 5 * time.Second
)

// Tracer makes the spans of one service.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	account  *account
}

// New starts a tracer; Close stops it. It makes no call yet.
func New(o Options) (*Tracer, error) {
	attributes, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithFromEnv(), resource.WithAttributes(
		semconv.ServiceName(o.Service), semconv.ServiceNamespace("fountain"), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance),
	))
	if err != nil {
		return nil, errors.New("OTEL_RESOURCE_ATTRIBUTES: must be NAME=VALUE pairs with commas between them") // the library's error repeats the value
	}
	account := newAccount(o.Log, o.Registerer)
	exporter := otlptrace.NewUnstarted(&uploader{url: o.Endpoint, header: o.Header, client: o.Client, pause: retryPause})
	batches := sdk.NewBatchSpanProcessor(&accounted{exporter, account}, sdk.WithMaxQueueSize(maxPending),
		sdk.WithMaxExportBatchSize(maxBatch), sdk.WithBatchTimeout(batchPause), sdk.WithExportTimeout(exportTime))
	provider := sdk.NewTracerProvider(
		sdk.WithResource(attributes),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Share))),
		sdk.WithSpanProcessor(&bounded{batches, account}),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeValueLengthLimit: maxText, AttributeCountLimit: maxPerSpan, EventCountLimit: maxPerSpan, LinkCountLimit: maxPerSpan,
			AttributePerEventCountLimit: maxPerSpan, AttributePerLinkCountLimit: maxPerSpan,
		}),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/fountainai/fountain"), account: account}, nil
}

// Close sends the queued spans, for at most 5 seconds. What could not be sent is counted and logged; it is not an error of the service.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closingTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.account.closed(err)
	}
}

// propagator reads and writes traceparent and tracestate. Baggage is not propagated: any caller could put anything into it.
var propagator propagation.TraceContext

// Accept begins the span of a request that was received at began. The context of a trusted sender becomes the span's parent, and its sampling
// decision is followed. That of any other sender is only linked: a parent would let the sender decide what is recorded, and at what cost.
func (t *Tracer) Accept(ctx context.Context, header http.Header, trusted bool, name string, began time.Time) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began)}
	sender := trace.SpanContextFromContext(propagator.Extract(context.Background(), propagation.HeaderCarrier(header)))
	switch {
	case sender.IsValid() && trusted:
		ctx = trace.ContextWithRemoteSpanContext(ctx, sender)
	case sender.IsValid(): // its tracestate is dropped, as it is free text
		options = append(options, trace.WithLinks(trace.Link{SpanContext: sender.WithTraceState(trace.TraceState{})}))
	}
	return t.tracer.Start(ctx, name, options...)
}

// Call begins the span of a call to another service. end ends it with the status of the answer, or 0 when there was none.
func (t *Tracer) Call(ctx context.Context, name string, attributes ...attribute.KeyValue) (within context.Context, end func(status int, err error)) {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx, func(status int, err error) {
		if status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		}
		if err != nil || status >= http.StatusBadRequest {
			Fail(span, errorType(err, status))
		}
		span.End()
	}
}

// Work begins the span of background work, as a trace of its own. end ends it.
func (t *Tracer) Work(ctx context.Context, name string) (within context.Context, end func(err error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithNewRoot())
	return ctx, func(err error) {
		if err != nil {
			Fail(span, errorType(err, 0))
		}
		span.End()
	}
}

// Inject sets the span of ctx as the parent of a call and replaces any parent in header. It changes nothing when there is no span.
func Inject(ctx context.Context, header http.Header) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	header.Del("Tracestate")
	propagator.Inject(ctx, propagation.HeaderCarrier(header))
}

// Follow returns ctx with the span of another context, for work that continues independently of the request that started it.
func Follow(ctx, asked context.Context) context.Context {
	if span := trace.SpanFromContext(asked); span.IsRecording() {
		return trace.ContextWithSpan(ctx, span)
	}
	return ctx
}
