package tracing

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// world is a tracer and its collector.
type world struct {
	t         *testing.T
	tracer    *Tracer
	registry  *prometheus.Registry
	collector *httptest.Server

	mu     sync.Mutex
	log    bytes.Buffer
	status int // of the collector's answers
	calls  int
	header http.Header
	spans  []*tracepb.Span
}

func newWorld(t *testing.T, share float64) *world {
	t.Helper()
	w := &world{t: t, registry: prometheus.NewRegistry(), status: http.StatusOK}
	w.collector = httptest.NewServer(w)
	t.Cleanup(w.collector.Close)
	tracer, err := New(Options{
		Service: "test", Version: "0", Instance: "ins_1", Endpoint: w.collector.URL + "/v1/traces", Header: http.Header{"X-Key": {"hunter2"}},
		Client: &http.Client{Timeout: 10 * time.Second}, Share: share, Log: slog.New(slog.NewTextHandler(w, nil)), Registerer: w.registry,
	})
	require.NoError(t, err)
	w.tracer = tracer
	t.Cleanup(tracer.Close)
	return w
}

// Write implements io.Writer for the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// ServeHTTP is the collector's handler.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || proto.Unmarshal(body, &data) != nil {
		w.t.Error("what came is no TracesData")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	w.header = r.Header
	if w.status == http.StatusOK {
		for _, resource := range data.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				w.spans = append(w.spans, scope.Spans...)
			}
		}
	}
	rw.Header().Set("Retry-After", "1")
	rw.WriteHeader(w.status)
	_, _ = rw.Write([]byte("hunter2"))
}

func (w *world) answers(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

// flush sends the waiting spans.
func (w *world) flush() {
	w.t.Helper()
	require.NoError(w.t, w.tracer.provider.ForceFlush(w.t.Context()))
}

// sent returns the spans that the collector has received.
func (w *world) sent() []*tracepb.Span {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spans
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// count returns the metric's value for an outcome.
func (w *world) count(outcome string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	for _, metric := range families[0].Metric {
		if metric.Label[0].GetValue() == outcome {
			return metric.Counter.GetValue()
		}
	}
	w.t.Fatal("no such outcome")
	return 0
}
