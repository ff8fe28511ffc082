package tracing

import (
	"net/http"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Transport returns a transport that makes a span of every call within a trace, and propagates the trace to the called service. Calls outside a
// trace, such as polling a feed, have none. A disabled tracer returns base.
func (t *Tracer) Transport(base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	return &transport{t, base}
}

type transport struct {
	tracer *Tracer
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper. The span ends with the head of the answer. It does not contain the URL: an ID in it may be a secret.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.base.RoundTrip(r)
	}
	ctx, end := t.tracer.Call(r.Context(), r.Method, semconv.HTTPRequestMethodKey.String(r.Method), semconv.ServerAddress(r.URL.Hostname()))
	out := r.WithContext(ctx)
	out.Header = r.Header.Clone()
	Inject(ctx, out.Header)
	res, err := t.base.RoundTrip(out)
	status := 0
	if res != nil {
		status = res.StatusCode
	}
	end(status, err)
	return res, err
}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
