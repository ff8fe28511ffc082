package twofactor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/handlers"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/config"
)

// Delivery configures the providers that send codes. A channel without one is off.
type Delivery = delivery.Settings

// Config configures the service. DataDir, Issuer, JWKSURL, KMSURL and EnrolTokenFile are required.
type Config struct {
	config.Service

	OTPIssuer string `env:"OTP_ISSUER" envDefault:"FountainAI"` // name that authenticator apps show beside the account; without a colon
	Delivery
	Passkeys
	// StepUpChannels are the channels whose codes raise a session: email, sms, webhook. None is the cautious choice, because others can read mails and SMS.
	StepUpChannels   []string `env:"STEP_UP_CHANNELS"`
	DeliveriesPerDay int      `env:"DELIVERIES_PER_DAY" envDefault:"10000"` // codes that are sent in a day at most, to all people together

	// Development makes channels without a provider write codes into the log. Only the program that runs a family for trying it out sets it; the
	// environment can't.
	Development bool   `env:"-"`
	Version     string `env:"-"` // of the program, as the health operation reports it
}

// defaultPerDay is the default of DeliveriesPerDay. It bounds the cost of an attack that has messages sent.
const defaultPerDay = 10_000

// channels returns StepUpChannels as delivery.Channel.
func (c *Config) channels() []delivery.Channel {
	var out []delivery.Channel
	for _, channel := range c.StepUpChannels {
		out = append(out, delivery.Channel(channel))
	}
	return out
}

// Validate sets the defaults of empty fields, checks the configuration and reports all faults at once. It has no effect outside c.
func (c *Config) Validate() error {
	c.Complete(handlers.Word)
	if c.OTPIssuer == "" {
		c.OTPIssuer = "FountainAI"
	}
	if c.Passkeys.Name == "" {
		c.Passkeys.Name = c.OTPIssuer
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	if c.DeliveriesPerDay == 0 {
		c.DeliveriesPerDay = defaultPerDay
	}
	errs := []error{c.Service.Validate(), c.Delivery.Validate(), c.Passkeys.Validate()}
	if c.DeliveriesPerDay < 0 {
		errs = append(errs, errors.New("DELIVERIES_PER_DAY: must be positive"))
	}
	for _, channel := range c.StepUpChannels {
		if !slices.Contains([]delivery.Channel{delivery.Email, delivery.SMS, delivery.Webhook}, delivery.Channel(channel)) {
			errs = append(errs, errors.New("STEP_UP_CHANNELS: must be email, sms or webhook, several with commas"))
		}
	}
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
