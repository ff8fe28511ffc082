// Package httpclient makes the HTTP clients with which the services call each other: many requests to few hosts, TLS 1.2 and later, no redirects, a
// timeout on every call.
package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/fountainai/fountain/internal/tracing"
)

// New returns a client for calls to other services. caFile, if set, names the trusted authorities instead of the system's; timeout bounds a whole
// call, including its body. Calls that belong to a trace of tracer, which may be nil, propagate it.
func New(caFile string, timeout time.Duration, tracer *tracing.Tracer) (*http.Client, error) {
	transport, err := NewTransport(caFile)
	if err != nil {
		return nil, err
	}
	return Over(transport, timeout, tracer), nil
}

// Over returns such a client with another transport.
func Over(transport http.RoundTripper, timeout time.Duration, tracer *tracing.Tracer) *http.Client {
	return &http.Client{Transport: tracer.Transport(transport), Timeout: timeout, CheckRedirect: noRedirect}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// NewTransport returns the transport of such a client. With the default transport's limit of two idle connections to a host, most requests would open
// a new one.
func NewTransport(caFile string) (*http.Transport, error) {
	config, err := TLS(caFile)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       60 * time.Second, // shorter than the services' own
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		TLSClientConfig:       config,
	}, nil
}

// TLS returns the TLS configuration for connections to other services: TLS 1.2 and later. caFile, if set, names the trusted authorities instead of
// the system's.
func TLS(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("read certificate authorities: the file holds no certificate")
	}
	return config, nil
}
