package tracing

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Fail marks a span as failed. kind is from a small closed set: an error's own text may contain parts of the request.
func Fail(span trace.Span, kind string) {
	span.SetStatus(codes.Error, "")
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
}

// errorType maps an error, or the status of a failed answer, to one of a few kinds.
func errorType(err error, status int) string {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &network):
		return "network"
	case status >= http.StatusBadRequest:
		return strconv.Itoa(status)
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
