package httpserver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
)

// line is one request in the access log. It contains the operation and its path template, never the path, the query or a header, which may be
// confidential between caller and service.
type line struct {
	x       *Exchange
	ctx     context.Context
	method  string
	answer  *response
	took    time.Duration
	aborted bool // the connection was cut
	again   bool // a probe with the same refusal as the one before
}

// unmatched is logged as the operation where no route was found.
const unmatched = "unmatched"

func (l *line) operation() string {
	if l.x.Operation == nil {
		return unmatched
	}
	return l.x.Operation.Label()
}

// level returns debug for a probe or a long poll that succeeded (there is one every few seconds) and for a probe with the same refusal as before,
// error for a fault of ours or of a service behind us, and info for everything else. Any caller can cause 501 and 505; 503 is temporary by
// definition.
func (l *line) level() slog.Level {
	switch status := l.answer.status; {
	case l.x.Operation != nil && recurring(l.x.Operation) && status < http.StatusBadRequest:
		return slog.LevelDebug
	case l.again:
		return slog.LevelDebug
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported, status == http.StatusServiceUnavailable:
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// recurring reports whether programs call an operation continually.
func recurring(op *contract.Operation) bool {
	return Probe(op) || op.Policy.Stream != nil && op.Policy.Stream.Kind == contract.StreamLongPoll
}

func (l *line) write(log *slog.Logger, keep config.AccessLog) {
	level := l.level()
	status := l.answer.status
	if !log.Enabled(l.ctx, level) || status < http.StatusBadRequest && !l.aborted && !keep.Keeps(rand.Float64()) {
		return
	}
	route := unmatched
	if l.x.Operation != nil {
		route = l.x.Operation.Path
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("requestId", RequestID(l.ctx)), slog.String("method", knownMethod(l.method)), slog.String("route", route),
		slog.String("operationId", l.operation()), slog.Int("status", status), slog.String("client", l.x.Client()),
		slog.Int64("bytes", l.answer.bytes), slog.Float64("tookMs", milliseconds(l.took)),
	)
	if l.x.Upstream > 0 {
		attrs = append(attrs, slog.Float64("upstreamMs", milliseconds(l.x.Upstream)), slog.Float64("ownMs", milliseconds(l.took-l.x.Upstream)))
	}
	if l.x.Principal != nil {
		attrs = append(attrs, slog.String("subject", l.x.Principal.Subject))
	}
	if l.x.inTrace() {
		attrs = append(attrs, slog.String("traceId", l.x.trace.span.SpanContext().TraceID().String()))
	}
	if l.x.RefusedBy != "" {
		attrs = append(attrs, slog.String("refusedBy", l.x.RefusedBy))
	}
	if l.aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if p := l.answer.problem; p != nil {
		if status != statusClientGone {
			attrs = append(attrs, slog.String("code", string(p.Code)))
		}
		if status >= statusClientGone {
			attrs = append(attrs, slog.String("err", p.Error()))
		}
	}
	record := slog.NewRecord(time.Now(), level, "request", 0) // without the source location, which Logger would look up
	record.AddAttrs(attrs...)
	_ = log.Handler().Handle(l.ctx, record) // an error of the log cannot be logged
}

// knownMethod returns a request's method, or "unknown": a client may send any text.
func knownMethod(method string) string {
	if !knownMethods[method] {
		return "unknown"
	}
	return method
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
