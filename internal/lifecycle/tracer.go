package lifecycle

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tracing"
)

// NewTracer returns the tracer of the service of a word, or nil when traces are off. The caller, who composes the service, closes it after the
// service has ended.
func NewTracer(word, version string, c config.Traces, log *slog.Logger, registerer prometheus.Registerer) (*tracing.Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	client, err := httpclient.New(c.CAFile, c.Timeout, nil) // a tracer's own calls are not traced
	if err != nil {
		return nil, fmt.Errorf("client of the collector: %w", err)
	}
	return tracing.New(tracing.Options{
		Service: word, Version: version, Instance: id.New("ins"), Endpoint: c.Endpoint, Header: c.Header, Client: client, Share: c.Share,
		Log: log, Registerer: registerer,
	})
}
