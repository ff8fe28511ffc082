package search

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/internal/config"
)

// Config configures the service. DataDir, Issuer, JWKSURL, KMSURL and EnrolTokenFile are required.
type Config struct {
	config.Service

	EngineAt

	// Limits of the embedded engine; 0 means the documented default.
	EmbeddedMaxDocuments           int `env:"EMBEDDED_MAX_DOCUMENTS"`            // in all collections
	EmbeddedMaxCollectionDocuments int `env:"EMBEDDED_MAX_COLLECTION_DOCUMENTS"` // in one
	EmbeddedMaxMemoryMiB           int `env:"EMBEDDED_MAX_MEMORY_MIB"`           // estimated, of the indexes

	Version string `env:"-"` // of the program, reported by health
}

// EngineAt locates a Typesense server that is used instead of the embedded engine. The zero value selects the embedded engine.
type EngineAt struct {
	EngineURL       string `env:"ENGINE_URL"`        // base URL of a Typesense, or of its nodes, separated by commas; empty: the embedded engine in DataDir
	EngineKeyFile   string `env:"ENGINE_KEY_FILE"`   // file with Typesense's API key; empty: the kms stores it as search.typesense
	EngineCAFile    string `env:"ENGINE_CA_FILE"`    // certificate authorities trusted for Typesense instead of the system's
	EnginePublicURL string `env:"ENGINE_PUBLIC_URL"` // base URL at which browsers reach that Typesense with search keys; returned with each key
}

// Validate checks the configuration and reports all errors at once. It fills in defaults and accesses nothing outside the configuration.
func (c *Config) Validate() error {
	c.Complete(handlers.Word)
	if c.Version == "" {
		c.Version = "devel"
	}
	errs := []error{c.Service.Validate()}
	for _, required := range []struct{ name, value string }{
		{"ISSUER", c.Issuer}, {"JWKS_URL", c.JWKSURL}, {"KMS_URL", c.KMSURL}, {"ENROL_TOKEN_FILE", c.EnrolTokenFile},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("%s: is required", required.name))
		}
	}
	_, err := config.Addresses(c.EngineURL)
	switch {
	case c.EngineURL == "" && (c.EngineKeyFile != "" || c.EngineCAFile != ""):
		errs = append(errs, errors.New("ENGINE_KEY_FILE, ENGINE_CA_FILE: are for a Typesense at ENGINE_URL"))
	case c.EngineURL != "" && err != nil:
		errs = append(errs, fmt.Errorf("ENGINE_URL: %w", err))
	}
	if door, err := url.Parse(c.EnginePublicURL); c.EnginePublicURL != "" && (c.EngineURL == "" || err != nil || door.Scheme != "http" && door.Scheme != "https" || door.Host == "" || door.User != nil || door.RawQuery != "") {
		errs = append(errs, errors.New("ENGINE_PUBLIC_URL: must be an absolute http or https URL without user and query, of a Typesense at ENGINE_URL"))
	}
	if c.EmbeddedMaxDocuments < 0 || c.EmbeddedMaxCollectionDocuments < 0 || c.EmbeddedMaxMemoryMiB < 0 {
		errs = append(errs, errors.New("EMBEDDED_MAX_...: must not be negative"))
	}
	return errors.Join(errs...)
}

func (c *Config) embedded() bool { return c.EngineURL == "" }

func (c *Config) limits() embedded.Limits {
	return embedded.Limits{
		Documents: c.EmbeddedMaxDocuments, DocumentsPerCollection: c.EmbeddedMaxCollectionDocuments, MemoryBytes: int64(c.EmbeddedMaxMemoryMiB) << 20,
	}
}
