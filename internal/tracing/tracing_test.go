package tracing

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// from returns the header of a sender whose trace is recorded or not.
func from(recorded bool) http.Header {
	flags := "00"
	if recorded {
		flags = "01"
	}
	return http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + flags}, "Tracestate": {"vendor=hunter2"}}
}

func TestAccept_goesOnWithTheTraceOfATrustedSender(t *testing.T) {
	for _, recorded := range []bool{true, false} {
		w := newWorld(t, 0.5)
		_, span := w.tracer.Accept(t.Context(), from(recorded), true, "GET /x", time.Now())
		require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", span.SpanContext().TraceID().String())
		require.Equal(t, recorded, span.IsRecording(), "the sender's decision holds")
	}
}

// A stranger who could choose the parent span could also choose what is recorded, and at what cost.
func TestAccept_letsAStrangerForceNothing(t *testing.T) {
	w := newWorld(t, 0)
	for range 100 {
		_, span := w.tracer.Accept(t.Context(), from(true), false, "GET /x", time.Now())
		require.False(t, span.IsRecording())
	}
	w = newWorld(t, 1)
	_, span := w.tracer.Accept(t.Context(), from(false), false, "GET /x", time.Now())
	require.True(t, span.IsRecording(), "nor prevent")
	span.End()
	w.flush()
	require.Len(t, w.sent(), 1)
	sent := w.sent()[0]
	require.Empty(t, sent.ParentSpanId)
	require.NotEqual(t, "4bf92f3577b34da6a3ce929d0e0e4736", span.SpanContext().TraceID().String())
	require.Len(t, sent.Links, 1, "but the two can be found together")
	require.Zero(t, span.(sdk.ReadOnlySpan).Links()[0].SpanContext.TraceState().Len(), "a stranger's text")
	require.Empty(t, sent.TraceState)
}

func TestInject_replacesWhatTheClientSaid(t *testing.T) {
	w := newWorld(t, 1)
	ctx, span := w.tracer.Accept(t.Context(), from(true), false, "GET /x", time.Now())
	header := from(true)
	Inject(ctx, header)
	require.Equal(t, "00-"+span.SpanContext().TraceID().String()+"-"+span.SpanContext().SpanID().String()+"-01", header.Get("Traceparent"))
	require.Empty(t, header.Values("Tracestate"))

	header = from(true)
	Inject(t.Context(), header)
	require.Equal(t, from(true), header, "without a trace nothing is changed")
}

func TestTransport_carriesATraceOnAndMakesNone(t *testing.T) {
	w := newWorld(t, 1)
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got = r.Header
		rw.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	client := &http.Client{Transport: w.tracer.Transport(http.DefaultTransport)}
	call := func(ctx context.Context) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/hunter2?q=hunter2", nil)
		require.NoError(t, err)
		res, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Empty(t, r.Header, "the caller's request is not changed")
	}
	call(t.Context())
	require.Empty(t, got.Get("Traceparent"), "polling is in no trace")

	ctx, end := w.tracer.Work(t.Context(), "work")
	call(ctx)
	end(nil)
	w.flush()
	require.Len(t, w.sent(), 2)
	span := w.sent()[0]
	require.Equal(t, tracepb.Span_SPAN_KIND_CLIENT, span.Kind)
	require.Equal(t, w.sent()[1].SpanId, span.ParentSpanId)
	require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, span.Status.Code)
	require.Contains(t, got.Get("Traceparent"), trace.SpanContextFromContext(ctx).TraceID().String())
	require.NotContains(t, span.String(), "hunter2")
}

func TestStatement_tellsNoValue(t *testing.T) {
	w := newWorld(t, 1)
	db := w.tracer.Database("sqlite", "kms")
	db.Begin(t.Context(), "SELECT 1").End(nil) // the context has no trace
	ctx, end := w.tracer.Work(t.Context(), "work")
	db.Begin(ctx, "SELECT a\n\t FROM b WHERE c = 'hunter''2' AND d = ?").End(sql.ErrNoRows)
	db.Begin(ctx, "INSERT INTO b VALUES "+strings.Repeat("(?), ", 1000)).End(errors.New("key (name)=(hunter2) is there"))
	end(nil)
	w.flush()
	require.Len(t, w.sent(), 3)
	found, inserted := w.sent()[0], w.sent()[1]
	require.Equal(t, "SELECT kms", found.Name)
	require.Contains(t, found.String(), `"SELECT a FROM b WHERE c = ? AND d = ?"`)
	require.NotEqual(t, tracepb.Status_STATUS_CODE_ERROR, found.Status.GetCode(), "no row is no failure")
	require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, inserted.Status.GetCode())
	require.NotContains(t, inserted.String(), "hunter2")
	require.Less(t, len(inserted.String()), 3000, "a text is bounded")
}

func TestFollow_takesTheTraceAndNothingElse(t *testing.T) {
	w := newWorld(t, 1)
	type key struct{}
	asked, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	asked, end := w.tracer.Work(asked, "work")
	ctx := Follow(t.Context(), asked)
	cancel()
	end(nil)
	require.Equal(t, trace.SpanContextFromContext(asked), trace.SpanContextFromContext(ctx))
	require.NoError(t, ctx.Err(), "it goes on when its asker has left")
	require.Nil(t, ctx.Value(key{}))
}

func TestTracer_thatIsOffCostsNothing(t *testing.T) {
	var off *Tracer
	ctx := t.Context()
	require.Equal(t, http.DefaultTransport, off.Transport(http.DefaultTransport))
	require.Nil(t, off.Database("sqlite", "kms"))
	database := off.Database("sqlite", "kms")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		database.Begin(ctx, "SELECT 1").End(nil)
		_, end := off.Work(ctx, "work")
		end(nil)
		_ = Follow(ctx, ctx)
		off.Close()
	}))
}
