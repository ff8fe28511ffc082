package lifecycle

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpclient"
)

// Client returns the HTTP client with which a service calls the kms and the other services, whose configured addresses are given. Each may have
// several instances: a call to the first address (config.First) goes to any instance that can answer. timeout bounds a whole call.
func Client(c config.Service, timeout time.Duration, others ...string) (*http.Client, error) {
	var lists [][]*url.URL
	for _, setting := range append([]string{c.JWKSURL, c.KMSURL}, others...) {
		list, err := config.Addresses(setting)
		if err != nil {
			return nil, fmt.Errorf("addresses of a service: %w", err)
		}
		lists = append(lists, list)
	}
	transport, err := httpclient.NewTransport(c.TLS.CAFile)
	if err != nil {
		return nil, err
	}
	return httpclient.Over(httpclient.Spread(transport, lists...), timeout, c.Tracer), nil
}
