package httpserver

import (
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/requestid"
	"github.com/fountainai/fountain/internal/telemetry"
)

// BenchmarkAccessLog measures the log line of one successful request at the gateway, without the system call that writes it.
func BenchmarkAccessLog(b *testing.B) {
	log := telemetry.NewLogger(io.Discard, slog.LevelInfo).With("service", "gateway")
	l := &line{
		x: &Exchange{
			Operation: &contract.Operation{ID: "createElement", Path: "/scopes/{scope}/{elementType}/elements"}, ClientIP: netip.MustParseAddr("192.0.2.7"),
			Principal: &auth.Principal{Subject: "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}, Upstream: 734 * time.Microsecond,
		},
		ctx: requestid.With(b.Context(), "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"), method: "POST", answer: &response{status: 201, bytes: 230}, took: 912 * time.Microsecond,
	}
	b.ReportAllocs()
	for b.Loop() {
		l.write(log, config.AccessLog{})
	}
}
