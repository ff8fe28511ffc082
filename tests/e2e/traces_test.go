package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// collector receives spans by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	raw   bytes.Buffer // everything that was sent, including headers
	spans []span
}

// span is one span, reduced to what the test needs.
type span struct {
	id, parent, trace string // hex; parent is empty at a trace's root
	service, name     string
	kind              tracepb.Span_SpanKind
	attributes        map[string]string
	links             []string // trace ids
	failed            bool
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// ServeHTTP implements http.Handler. ExportTraceServiceRequest and TracesData have the same wire format.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(&c.raw, r.Header)
	c.raw.Write(body)
	for _, resource := range data.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, read(service, s))
			}
		}
	}
}

func read(service string, s *tracepb.Span) span {
	out := span{
		id: fmt.Sprintf("%x", s.SpanId), parent: fmt.Sprintf("%x", s.ParentSpanId), trace: fmt.Sprintf("%x", s.TraceId), service: service, name: s.Name,
		kind: s.Kind, attributes: map[string]string{}, failed: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
	}
	for _, a := range s.Attributes {
		out.attributes[a.Key] = a.Value.GetStringValue()
		if n := a.Value.GetIntValue(); n != 0 {
			out.attributes[a.Key] = fmt.Sprint(n)
		}
	}
	for _, l := range s.Links {
		out.links = append(out.links, fmt.Sprintf("%x", l.TraceId))
	}
	return out
}

// got returns the spans so far and everything received on the wire.
func (c *collector) got() (spans []span, raw string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans), c.raw.String()
}

// one returns the only span that matches.
func one(t *testing.T, spans []span, what string, fits func(span) bool) span {
	t.Helper()
	var found []span
	for _, s := range spans {
		if fits(s) {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, what)
	return found[0]
}

// accessLine returns the access log line of an operation in a service.
func accessLine(t *testing.T, log, service, operation string) map[string]any {
	t.Helper()
	for text := range strings.Lines(log) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == "request" && line["service"] == service && line["operationId"] == operation {
			return line
		}
	}
	t.Fatalf("%s logged no %s", service, operation)
	return nil
}

const (
	server = tracepb.Span_SPAN_KIND_SERVER
	client = tracepb.Span_SPAN_KIND_CLIENT
)

// TestTraces_leadFromTheGatewayToTheStatement requires that one trace contains a request's path through gateway,
// service and database, that it is not the trace which a client asked for, and that no span contains anything that a
// client sent.
func TestTraces_leadFromTheGatewayToTheStatement(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=canary%20tenant")
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	ctx := context.Background()
	admin := p.Bootstrap(dir, "canary-user", "canary-password-7fd0")

	const strangers = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent := fountain.WithHeader("Traceparent", "00-"+strangers+"-00f067aa0ba902b7-01")
	state := fountain.WithHeader("Tracestate", "canary=state")
	element, err := admin.Sequence.CreateElement(ctx, "canary-scope", "action", sequence.ElementCreate{Data: json.RawMessage(`{"text":"canary text"}`)}, parent, state)
	require.NoError(t, err)
	_, err = admin.Sequence.GetElement(ctx, "canary-scope", "action", element.ID, parent)
	require.NoError(t, err)
	_, err = admin.KMS.PutSecret(ctx, "canary.secret", kms.SecretPut{Value: "canary-secret-7fd2"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		spans, _ := c.got()
		return slices.ContainsFunc(spans, func(s span) bool { return s.name == "deliver to search" })
	}, 20*time.Second, 20*time.Millisecond)
	for _, path := range []string{"/canary-path?canary=query", "/sequence/v1/scopes/canary/elements/canary/canary?canary=query", "/kms/v1/secrets/canary"} {
		get(t, p.URL+path, http.Header{
			"Authorization": {"Bearer canary"}, "X-Otp": {"canary"}, "User-Agent": {"canary"}, "Baggage": {"canary=1"}, "X-Request-Id": {"canary"}, "Cookie": {"canary=1"},
		})
	}
	p.Stop() // flushes pending spans

	spans, raw := c.got()
	for _, operation := range []struct{ id, method, statement string }{
		{"createElement", "POST", "INSERT sequence"}, {"getElement", "GET", "SELECT sequence"},
	} {
		checkTrace(t, spans, p.Output(), operation.id, operation.method, operation.statement, strangers)
	}
	require.Contains(t, raw, "canary tenant", "the collector's own header")
	raw = strings.ReplaceAll(raw, "canary tenant", "")
	require.NotContains(t, raw, "canary")
	require.NotContains(t, p.Output(), "canary tenant", "a header for the collector is a secret")

	delivery := one(t, spans, "first delivery", func(s span) bool { return s.name == "deliver to search" && s.trace == firstDelivery(spans) })
	call := one(t, spans, "call of search", func(s span) bool {
		return s.parent == delivery.id && s.kind == client && s.attributes["server.address"] != ""
	})
	one(t, spans, "search's part", func(s span) bool { return s.parent == call.id && s.service == "search" && s.kind == server })
	asked := one(t, spans, "twofactor asks the kms for the enrolment", func(s span) bool {
		return s.service == "kms" && s.attributes["fountain.operation_id"] == "introspectToken" && operationOf(spans, s.trace) == "enrolTotp"
	})
	one(t, spans, "the call of twofactor", func(s span) bool { return s.id == asked.parent && s.service == "twofactor" && s.kind == client })
	index := slices.IndexFunc(spans, func(s span) bool { return s.attributes["fountain.refused_by"] == "route" })
	require.GreaterOrEqual(t, index, 0, "a path that is not there")
	require.Equal(t, "GET", spans[index].name)
	require.Equal(t, "404", spans[index].attributes["http.response.status_code"])
	for _, s := range spans {
		require.NotContains(t, s.name, "/health", "probes are not traced")
		require.NotContains(t, s.name, "/ready")
	}
}

// get sends a request that is refused.
func get(t *testing.T, url string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header = header
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.GreaterOrEqual(t, answer.StatusCode, http.StatusBadRequest)
}

// firstDelivery returns the trace of the first delivery to the search service.
func firstDelivery(spans []span) string {
	for _, s := range spans {
		if s.name == "deliver to search" {
			return s.trace
		}
	}
	return ""
}

// operationOf returns the operation at the root of a trace.
func operationOf(spans []span, trace string) string {
	for _, s := range spans {
		if s.trace == trace && s.parent == "" {
			return s.attributes["fountain.operation_id"]
		}
	}
	return ""
}

// checkTrace checks the single trace of an operation of sequence, from the gateway to the database.
func checkTrace(t *testing.T, spans []span, log, operation, method, statement, strangers string) {
	t.Helper()
	door := one(t, spans, "span of the gateway", func(s span) bool {
		return s.service == "gateway" && s.kind == server && s.attributes["fountain.operation_id"] == operation && s.links != nil
	})
	require.Empty(t, door.parent, "a stranger's trace is no parent")
	require.NotEqual(t, strangers, door.trace)
	require.Equal(t, []string{strangers}, door.links)
	require.Equal(t, method+" "+door.attributes["http.route"], door.name)
	require.Contains(t, door.attributes["http.route"], "{scope}", "a template")
	require.Equal(t, method, door.attributes["http.request.method"])
	require.Equal(t, "127.0.0.1", door.attributes["client.address"])
	require.Equal(t, "localhost", door.attributes["server.address"], "as it was called")
	require.Equal(t, "http", door.attributes["url.scheme"])
	require.Regexp(t, "^20[01]$", door.attributes["http.response.status_code"])

	call := one(t, spans, "the gateway's call", func(s span) bool {
		return s.parent == door.id && s.kind == client && s.attributes["url.template"] == door.attributes["http.route"]
	})
	service := one(t, spans, "the service's part", func(s span) bool { return s.parent == call.id })
	require.Equal(t, "sequence", service.service)
	require.Equal(t, server, service.kind)
	require.Equal(t, door.attributes["fountain.request_id"], service.attributes["fountain.request_id"])
	index := slices.IndexFunc(spans, func(s span) bool { return s.parent == service.id && s.name == statement })
	require.GreaterOrEqual(t, index, 0, "a statement below the service's span")
	sql := spans[index]
	require.Equal(t, "sqlite", sql.attributes["db.system.name"])
	require.Contains(t, sql.attributes["db.query.text"], "?")
	for _, s := range []span{door, call, service, sql} {
		require.Equal(t, door.trace, s.trace)
		require.False(t, s.failed)
	}
	for _, who := range []string{"gateway", "sequence"} {
		line := accessLine(t, log, who, operation)
		require.Equal(t, door.trace, line["traceId"], who)
		require.Equal(t, door.attributes["fountain.request_id"], line["requestId"], who)
	}
}

// Without an endpoint there are no traces, and a client's trace context reaches the service as it was sent.
func TestTraces_areOffWithoutAnEndpoint(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", "canary-password-7fd0")
	_, err := admin.Sequence.CreateElement(context.Background(), "scope", "action", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
	require.NoError(t, err)
	p.Stop()
	spans, raw := c.got()
	require.Empty(t, spans)
	require.Empty(t, raw)
	require.NotContains(t, p.Output(), "traceId")
}

// If the collector is unavailable, only spans are lost: requests succeed, each service logs it once, and the metric
// counts the lost spans.
func TestTraces_areLostWhenTheCollectorIsAway(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+harness.FreeAddress(t))
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", "canary-password-7fd0")
	for range 3 {
		_, err := admin.Sequence.CreateElement(context.Background(), "scope", "action", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
		require.NoError(t, err)
	}
	failed := `fountain_trace_spans_total{outcome="failed",service="gateway"} `
	require.Eventually(t, func() bool {
		metrics := p.Metrics()
		return strings.Contains(metrics, failed) && !strings.Contains(metrics, failed+"0\n")
	}, 30*time.Second, 50*time.Millisecond)
	_, err := admin.Sequence.CreateElement(context.Background(), "scope", "action", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
	require.NoError(t, err)
	p.Stop()
	said := 0
	for text := range strings.Lines(p.Output()) {
		if strings.Contains(text, "the collector does not accept traces") && strings.Contains(text, `"service":"gateway"`) {
			said++
		}
	}
	require.Equal(t, 1, said, "once, however many batches fail")
}
