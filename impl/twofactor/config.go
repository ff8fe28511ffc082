package twofactor

import (
	"errors"
	"fmt"

	"github.com/fountainai/fountain/impl/twofactor/internal/handlers"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/config"
)

// Config configures the service. DataDir, Issuer, JWKSURL, KMSURL and EnrolTokenFile are required.
type Config struct {
	config.Service

	OTPIssuer string `env:"OTP_ISSUER" envDefault:"FountainAI"` // what authenticator apps show beside the account; no colon
	Version   string `env:"-"`                                  // of the program, told by health
}

// Validate checks the configuration, reports all faults at once, and touches nothing outside. It fills in what has a default.
func (c *Config) Validate() error {
	c.Complete(handlers.Word)
	if c.OTPIssuer == "" {
		c.OTPIssuer = "FountainAI"
	}
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
	if err := totp.CheckIssuer(c.OTPIssuer); err != nil {
		errs = append(errs, fmt.Errorf("OTP_ISSUER: %w", err))
	}
	return errors.Join(errs...)
}
