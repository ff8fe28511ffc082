// Package config reads a service's settings from the environment. It is strict: a variable with the service's prefix and an unknown name is an error,
// settings are validated at start, and every secret is given as the name of a file.
package config

import (
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/tracing"
)

// Service is the configuration that every service has; each impl embeds it in its own Config. The fields without an env tag are set by the program
// that composes services, never by the environment.
type Service struct {
	Addr            string        `env:"ADDR"`              // host:port to listen on; the default is the word's port on every interface
	DataDir         string        `env:"DATA_DIR"`          // directory of this service's own files, made 0700
	DatabaseURLFile string        `env:"DATABASE_URL_FILE"` // file with a postgres:// URL; empty: SQLite in DataDir
	Issuer          string        `env:"ISSUER"`            // iss of the tokens accepted here
	JWKSURL         string        `env:"JWKS_URL"`          // where the kms publishes its keys; several instances with commas
	KMSURL          string        `env:"KMS_URL"`           // base URL of the kms, without /kms/v1; several instances with commas
	EnrolTokenFile  string        `env:"ENROL_TOKEN_FILE"`  // where the kms puts this service's enrolment token
	TLS             TLS           `envPrefix:"TLS_"`
	TrustedProxies  []string      `env:"TRUSTED_PROXIES"` // CIDRs whose X-Request-Id and X-Forwarded-* are believed
	Hosts           []string      `env:"HOSTS"`           // further names by which this service is called
	LogLevel        slog.Level    `env:"LOG_LEVEL"`
	AccessLog       AccessLog     `env:"ACCESS_LOG"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY"` // between "not ready" and the end of accepting
	Grace           time.Duration `env:"GRACE"`       // for requests in flight at the end
	AuditKeep       time.Duration `env:"AUDIT_KEEP"`  // no event of the audit trail that is younger is removed, archived or not; default 90 days

	Listener   net.Listener          `env:"-"` // given by the family; Addr is not used then
	Log        *slog.Logger          `env:"-"`
	Registerer prometheus.Registerer `env:"-"`
	Clock      clock.Clock           `env:"-"`
	Tracer     *tracing.Tracer       `env:"-"` // nil: no traces are made. Who gives it closes it
	OnReady    func()                `env:"-"` // called once, when the service becomes ready for the first time
}

// TLS names the files of a service's certificate and of the authorities it trusts for calls to other services.
type TLS struct {
	CertFile string `env:"CERT_FILE"`
	KeyFile  string `env:"KEY_FILE"`
	CAFile   string `env:"CA_FILE"`
}
