package sequence

import (
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/config"
)

const word = "sequence"

// Config configures the service. Issuer, JWKSURL, KMSURL, SearchURL and DataDir are required.
type Config struct {
	config.Service

	SearchURL string `env:"SEARCH_URL"` // base URL of the search service, without /search/v1, or of its instances with commas
	Version   string `env:"-"`          // of the program, as the health operation reports it

	maxBatch int // most requests of one commit, for the benchmark that compares; 0: the writer's default
}

// Validate sets the defaults of empty fields and checks the others. It has no effect outside c.
func (c *Config) Validate() error {
	c.Complete(word)
	errs := []error{c.Service.Validate()}
	for _, required := range []struct{ name, value string }{
		{"ISSUER", c.Issuer}, {"JWKS_URL", c.JWKSURL}, {"KMS_URL", c.KMSURL}, {"SEARCH_URL", c.SearchURL},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("%s: is required", required.name))
		}
	}
	if _, err := config.Addresses(c.SearchURL); c.SearchURL != "" && err != nil {
		errs = append(errs, fmt.Errorf("SEARCH_URL: %w", err))
	}
	return errors.Join(errs...)
}

// callTimeout bounds a whole call to another service.
const callTimeout = time.Minute
