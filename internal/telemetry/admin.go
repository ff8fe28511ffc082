package telemetry

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServiceInfo is the entry of one service of this process in /services of the admin port.
type ServiceInfo struct {
	Word    string `json:"word"`
	Address string `json:"address"` // scheme://host:port the service really listens on
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"` // why it is not ready
	Version string `json:"version,omitempty"`
}

// AdminOptions configure the admin handler.
type AdminOptions struct {
	Gatherer prometheus.Gatherer  // for /metrics
	Services func() []ServiceInfo // for /services and /ready; may be nil
}

// AdminHandler serves /metrics (Prometheus text), /debug/pprof/, /services (JSON), /health and /ready. It is meant for a port of its own that is not
// reachable from outside.
func AdminHandler(o AdminOptions) http.Handler {
	mux := http.NewServeMux()
	if o.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	services := func() []ServiceInfo {
		if o.Services == nil {
			return []ServiceInfo{}
		}
		return o.Services()
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		list := services()
		status := http.StatusOK
		for _, s := range list {
			if !s.Ready {
				status = http.StatusServiceUnavailable
			}
		}
		writeJSON(w, status, list)
	})
	mux.HandleFunc("GET /services", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, services()) })
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader is gone
}
