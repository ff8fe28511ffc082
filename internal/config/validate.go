package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
)

// MaxSecretFile is the maximum size of a file that contains a secret, in bytes.
const MaxSecretFile = 64 << 10

// ports are the words' default ports (DESIGN section 2).
var ports = map[string]string{"sequence": "8000", "search": "8001", "gateway": "8002", "kms": "8003", "twofactor": "8004"}

// aliases are the names of the services in the compose file's networks (DESIGN section 2).
var aliases = map[string]string{
	"sequence": "service_a", "search": "typesense_client_service", "gateway": "api_gateway", "kms": "key_management_service", "twofactor": "two_factor_service",
}

// Names returns the host names of a service besides its public one: its word, its alias in the compose file, and Hosts.
func (s *Service) Names(word string) []string {
	return append([]string{word, aliases[word]}, s.Hosts...)
}

// Complete sets defaults for empty fields: the word's port, the system clock, a logger that discards, a registry of its own, 5 s of drain delay, 30 s
// of grace and 90 days of audit trail.
func (s *Service) Complete(word string) {
	if s.Addr == "" && s.Listener == nil && ports[word] != "" {
		s.Addr = ":" + ports[word]
	}
	if s.Clock == nil {
		s.Clock = clock.System
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Registerer == nil {
		s.Registerer = prometheus.NewRegistry()
	}
	if s.DrainDelay == 0 {
		s.DrainDelay = 5 * time.Second
	}
	if s.Grace == 0 {
		s.Grace = 30 * time.Second
	}
	if s.AuditKeep == 0 {
		s.AuditKeep = 90 * 24 * time.Hour
	}
	if s.OnReady == nil {
		s.OnReady = func() {}
	}
}

// Validate checks the settings that every service needs and reports all faults at once. It touches nothing outside the process.
func (s *Service) Validate() error {
	var errs []error
	fault := func(name, text string) { errs = append(errs, fmt.Errorf("%s: %s", name, text)) }
	if s.Listener == nil {
		if _, _, err := net.SplitHostPort(s.Addr); err != nil {
			fault("ADDR", "must be host:port")
		}
	}
	if s.DataDir == "" {
		fault("DATA_DIR", "is required")
	}
	for name, address := range map[string]string{"JWKS_URL": s.JWKSURL, "KMS_URL": s.KMSURL} {
		if address == "" {
			continue
		}
		if _, err := Addresses(address); err != nil {
			fault(name, err.Error())
		}
	}
	if (s.TLS.CertFile == "") != (s.TLS.KeyFile == "") {
		fault("TLS_CERT_FILE, TLS_KEY_FILE", "are given together or not at all")
	}
	for _, cidr := range s.TrustedProxies {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			fault("TRUSTED_PROXIES", "every entry must be a CIDR, for example 10.0.0.0/8")
			break
		}
	}
	if s.AuditKeep < 0 {
		fault("AUDIT_KEEP", "must not be negative")
	}
	if s.DrainDelay < 0 || s.Grace < 0 {
		fault("DRAIN_DELAY, GRACE", "must not be negative")
	}
	return errors.Join(errs...)
}

func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// ProxyPrefixes returns TrustedProxies parsed. Entries that do not parse were refused by Validate.
func (s *Service) ProxyPrefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range s.TrustedProxies {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// DatabaseURL reads DatabaseURLFile; it returns "" when none is configured, which means SQLite.
func (s *Service) DatabaseURL() (string, error) {
	if s.DatabaseURLFile == "" {
		return "", nil
	}
	return ReadSecret(s.DatabaseURLFile)
}

// ReadSecret returns the content of a secret's file without the line end. It fails when the file is empty or too large.
func ReadSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read secret file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > MaxSecretFile {
		return "", fmt.Errorf("read secret file %s: not a regular file of at most %d bytes", path, MaxSecretFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret file: %w", err)
	}
	value := strings.TrimRight(string(raw), "\r\n")
	if value == "" {
		return "", fmt.Errorf("read secret file %s: it is empty", path)
	}
	return value, nil
}
