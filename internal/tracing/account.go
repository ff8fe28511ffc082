package tracing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// account counts the outcome of every span that has ended.
type account struct {
	log     *slog.Logger
	spans   *prometheus.CounterVec
	pending atomic.Int64 // ended, and neither sent nor dropped

	mu      sync.Mutex
	failing bool
}

func newAccount(log *slog.Logger, registerer prometheus.Registerer) *account {
	a := &account{log: log, spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_trace_spans_total",
		Help: "Spans that ended, by outcome: sent, failed (the collector did not take them), dropped (too many waited).",
	}, []string{"outcome"})}
	for _, outcome := range []string{"sent", "failed", "dropped"} {
		a.spans.WithLabelValues(outcome) // a counter that does not exist yet cannot raise an alert
	}
	registerer.MustRegister(a.spans)
	return a
}

// exported counts a batch, and logs when the collector begins to fail and when it accepts spans again.
func (a *account) exported(ctx context.Context, n int, err error) {
	a.pending.Add(int64(-n))
	outcome := "sent"
	if err != nil {
		outcome = "failed"
	}
	a.spans.WithLabelValues(outcome).Add(float64(n))
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && !a.failing:
		a.log.WarnContext(ctx, "the collector does not accept traces; they are dropped until it does", "error", err)
	case err == nil && a.failing:
		a.log.InfoContext(ctx, "the collector accepts traces again")
	}
	a.failing = err != nil
}

// closed counts the spans that were not sent before the end.
func (a *account) closed(err error) {
	left := max(a.pending.Load(), 0)
	a.spans.WithLabelValues("dropped").Add(float64(left))
	a.log.Warn("traces were not sent before shutdown", "spans", left, "error", err)
}

// bounded forwards a span while the queue has room, and counts those that it drops: the library's own queue would drop them silently.
type bounded struct {
	sdk.SpanProcessor
	account *account
}

// OnEnd implements sdk.SpanProcessor.
func (b *bounded) OnEnd(span sdk.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if b.account.pending.Add(1) > maxPending {
		b.account.pending.Add(-1)
		b.account.spans.WithLabelValues("dropped").Inc()
		return
	}
	b.SpanProcessor.OnEnd(span)
}

// accounted counts the results of an exporter, and keeps its errors from the library's global handler.
type accounted struct {
	sdk.SpanExporter
	account *account
}

// ExportSpans implements sdk.SpanExporter.
func (e *accounted) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	e.account.exported(ctx, len(spans), e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}
