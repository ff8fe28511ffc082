package httpserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/fountainai/fountain/internal/tracing"
)

// traced adds tracing to the world's handler. ended closes the tracer and returns the spans.
func (w *world) traced() (ended func() []*tracepb.Span) {
	w.t.Helper()
	var mu sync.Mutex
	var spans []*tracepb.Span
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || proto.Unmarshal(body, &data) != nil {
			w.t.Error("no TracesData")
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range data.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
	}))
	w.t.Cleanup(collector.Close)
	o := w.options()
	tracer, err := tracing.New(tracing.Options{
		Service: "sample", Version: "0", Instance: "ins_1", Endpoint: collector.URL, Client: &http.Client{Timeout: 10 * time.Second}, Share: 1, Log: o.Log,
		Registerer: prometheus.NewRegistry(),
	})
	require.NoError(w.t, err)
	o.Tracer = tracer
	w.Handler = New(o)
	return func() []*tracepb.Span {
		tracer.Close()
		mu.Lock()
		defer mu.Unlock()
		return spans
	}
}

const (
	sendersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent  = "00-" + sendersTrace + "-00f067aa0ba902b7-01"
)

func TestTrace_goesOnForATrustedProxyAlone(t *testing.T) {
	w := newWorld(t)
	ended := w.traced()
	r := w.creation(nil)
	r.Header.Set("Traceparent", traceparent)
	w.do(r)
	stranger := w.creation(nil)
	stranger.Header.Set("Traceparent", traceparent)
	stranger.RemoteAddr = "198.51.100.7:1"
	w.do(stranger)
	spans := ended()
	require.Len(t, spans, 2)
	lines := w.lines()
	require.Equal(t, sendersTrace, lines[0]["traceId"], "httptest's peer is a trusted proxy")
	require.NotEmpty(t, spans[0].ParentSpanId)
	require.NotEqual(t, sendersTrace, lines[1]["traceId"])
	require.Empty(t, spans[1].ParentSpanId)
	require.Len(t, spans[1].Links, 1)
}

// A request that panics or is refused has a span like any other; a probe has none.
func TestTrace_tellsHowARequestEnded(t *testing.T) {
	w := newWorld(t)
	ended := w.traced()
	w.handlers["getThing"] = func(http.ResponseWriter, *http.Request) { panic("hunter2") }
	r := httptest.NewRequest(http.MethodGet, "/sample/v1/things/hunter2", nil)
	r.Header.Set("Authorization", w.token())
	w.do(r)
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/things/hunter2?token=hunter2", nil))
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil))
	w.do(httptest.NewRequest("HUNTER2", "/sample/v1/hunter2", nil))
	spans := ended()
	require.Len(t, spans, 3, "the probe has none")
	text := ""
	for _, s := range spans {
		text += s.String()
	}
	require.NotContains(t, text, "hunter2")
	require.NotContains(t, text, "HUNTER2")
	require.NotContains(t, text, "usr_1", "no subject")
	require.Equal(t, "GET /sample/v1/things/{thingId}", spans[0].Name)
	require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, spans[0].Status.Code)
	require.Contains(t, spans[0].String(), "internal_error")
	require.Equal(t, "GET /sample/v1/things/{thingId}", spans[1].Name)
	require.NotEqual(t, tracepb.Status_STATUS_CODE_ERROR, spans[1].Status.GetCode(), "a refusal is no fault")
	require.Contains(t, spans[1].String(), "authenticate")
	require.Equal(t, "HTTP", spans[2].Name)
}

// BenchmarkTrace measures a whole request to a service: without a tracer, with a tracer that records nothing, and with one that records all.
func BenchmarkTrace(b *testing.B) {
	for _, c := range []struct {
		name  string
		share float64
	}{{"off", -1}, {"none recorded", 0}, {"all recorded", 1}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			o := w.options()
			require.NoError(b, o.AccessLog.UnmarshalText([]byte("failures")))
			if c.share >= 0 {
				collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				defer collector.Close()
				tracer, err := tracing.New(tracing.Options{
					Service: "sample", Version: "0", Instance: "ins_1", Endpoint: collector.URL, Client: &http.Client{Timeout: 10 * time.Second}, Share: c.share,
					Log: o.Log, Registerer: prometheus.NewRegistry(),
				})
				require.NoError(b, err)
				defer tracer.Close()
				o.Tracer = tracer
			}
			h := New(o)
			r := httptest.NewRequest(http.MethodGet, "/sample/v1/things/thing", nil)
			r.Header.Set("Authorization", w.token())
			r.Header.Set("Traceparent", traceparent)
			r.RemoteAddr = "198.51.100.7:1"
			b.ReportAllocs()
			for b.Loop() {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code != http.StatusNoContent {
					b.Fatal(rec.Code)
				}
			}
		})
	}
}
