package telemetry

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestAdminHandler_showsMetricsProfilesAndServices(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "fountain_test_total", Help: "x"})
	registry.MustRegister(counter)
	counter.Add(7)
	services := []ServiceInfo{{Word: "kms", Address: "http://127.0.0.1:8003", Ready: true, Version: "0.1.0"}}
	h := AdminHandler(AdminOptions{Gatherer: registry, Services: func() []ServiceInfo { return services }})
	require.Contains(t, get(t, h, "GET", "/metrics").Body.String(), "fountain_test_total 7")
	require.Equal(t, 200, get(t, h, "GET", "/debug/pprof/").Code)
	require.Equal(t, 200, get(t, h, "GET", "/debug/pprof/goroutine").Code)
	require.JSONEq(t, `{"status":"ok"}`, get(t, h, "GET", "/health").Body.String())
	require.JSONEq(t, `[{"word":"kms","address":"http://127.0.0.1:8003","ready":true,"version":"0.1.0"}]`, get(t, h, "GET", "/services").Body.String())
	require.Equal(t, 200, get(t, h, "GET", "/ready").Code)
	require.Equal(t, 405, get(t, h, "POST", "/metrics").Code)
	require.Equal(t, 404, get(t, h, "GET", "/nothing").Code)

	services = append(services, ServiceInfo{Word: "search", Reason: "it waits for its credential"})
	w := get(t, h, "GET", "/ready")
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), "it waits for its credential")
	require.Equal(t, 200, get(t, h, "GET", "/health").Code, "alive is not ready")
}

func TestAdminHandler_needsNeitherMetricsNorServices(t *testing.T) {
	h := AdminHandler(AdminOptions{})
	require.JSONEq(t, `[]`, get(t, h, "GET", "/services").Body.String())
	require.Equal(t, 404, get(t, h, "GET", "/metrics").Code)
}
