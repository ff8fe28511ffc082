package delivery

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/egress"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/tracing"
)

// Settings configure the providers. A channel without one is off.
type Settings struct {
	SMTP           SMTP     `envPrefix:"SMTP_"`
	SMTPFallback   SMTP     `envPrefix:"SMTP_FALLBACK_"` // takes over while the first fails
	Twilio         Twilio   `envPrefix:"TWILIO_"`
	TwilioFallback Twilio   `envPrefix:"TWILIO_FALLBACK_"`
	SMSCountries   []string `env:"SMS_COUNTRIES"` // ISO 3166-1 codes; none: SMS is off. A number without a country code is taken as one of the first country
	Webhooks       Webhooks `envPrefix:"WEBHOOK_"`
	TemplatesDir   string   `env:"TEMPLATES_DIR"` // with templates that replace built-in ones
}

// Validate checks the settings and reports all faults at once, by the names of the environment variables. It has no side effects.
func (s Settings) Validate() error {
	var errs []error
	check := func(prefix string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s%w", prefix, err))
		}
	}
	check("SMTP_", s.SMTP.Validate())
	check("SMTP_FALLBACK_", s.SMTPFallback.Validate())
	check("TWILIO_", s.Twilio.Validate())
	check("TWILIO_FALLBACK_", s.TwilioFallback.Validate())
	check("SMS_COUNTRIES: ", checkCountries(s.SMSCountries))
	check("WEBHOOK_", s.Webhooks.Validate())
	check("WEBHOOK_ALLOW: ", egress.Options{Allow: s.Webhooks.Allow}.Validate())
	if s.SMTP == (SMTP{}) && s.SMTPFallback != (SMTP{}) {
		errs = append(errs, errors.New("SMTP_ADDR: is required where there is a fallback"))
	}
	if s.Twilio == (Twilio{}) && s.TwilioFallback != (Twilio{}) {
		errs = append(errs, errors.New("TWILIO_ACCOUNT_SID: is required where there is a fallback"))
	}
	if s.Twilio != (Twilio{}) && len(s.SMSCountries) == 0 {
		errs = append(errs, errors.New("SMS_COUNTRIES: is required with TWILIO_ACCOUNT_SID"))
	}
	return errors.Join(errs...)
}

// TwilioAccepts reports whether a callback was signed for one of the accounts.
func (s Settings) TwilioAccepts(form url.Values, signature string) (bool, error) {
	for _, account := range []Twilio{s.Twilio, s.TwilioFallback} {
		if ok, err := account.Accepts(form, signature); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// House is what the service provides for the senders.
type House struct {
	Issuer      string // name of the sender in messages
	Development bool   // channels without a provider write into the log
	Clock       clock.Clock
	Log         *slog.Logger
	Registerer  prometheus.Registerer
	Tracer      *tracing.Tracer
}

// developmentCountries are the countries for whose numbers messages are written into the log.
var developmentCountries = []string{"US", "GB", "DE", "FR", "AT", "CH", "NL", "ES", "IT"}

// New returns the Router for valid settings.
func New(s Settings, h House) (*Router, error) {
	routes := Routes{Countries: s.SMSCountries, Webhooks: s.Webhooks.Names(), Clock: h.Clock, Log: h.Log}
	var err error
	if routes.Templates, err = LoadTemplates(s.TemplatesDir, h.Issuer); err != nil {
		return nil, err
	}
	if routes.Email, err = s.mail(); err != nil {
		return nil, err
	}
	if routes.SMS, err = s.twilio(h); err != nil {
		return nil, err
	}
	if len(routes.Webhooks) > 0 {
		sender, err := s.webhook(h)
		if err != nil {
			return nil, err
		}
		routes.Webhook = []Sender{sender}
	}
	if h.Development {
		develop(&routes, h.Log)
	}
	return NewRouter(routes)
}

// develop makes the log the provider of mail and SMS where they have none.
func develop(routes *Routes, log *slog.Logger) {
	if len(routes.Email) == 0 {
		routes.Email = []Sender{NewLog(log)}
	}
	if len(routes.SMS) == 0 {
		routes.SMS, routes.Countries = []Sender{NewLog(log)}, developmentCountries
	}
}

func (s Settings) mail() (senders []Sender, err error) {
	for i, smtp := range []SMTP{s.SMTP, s.SMTPFallback} {
		if smtp == (SMTP{}) {
			continue
		}
		sender, err := NewSMTP([]string{"smtp", "smtp-fallback"}[i], smtp)
		if err != nil {
			return nil, err
		}
		senders = append(senders, sender)
	}
	return senders, nil
}

func (s Settings) twilio(h House) ([]Sender, error) {
	if s.Twilio == (Twilio{}) {
		return nil, nil
	}
	client, err := httpclient.New("", TwilioTime, h.Tracer)
	if err != nil {
		return nil, err
	}
	senders := []Sender{NewTwilio("twilio", s.Twilio, client)}
	if s.TwilioFallback != (Twilio{}) {
		senders = append(senders, NewTwilio("twilio-fallback", s.TwilioFallback, client))
	}
	return senders, nil
}

// webhook returns the sender of webhooks. Package egress checks its connections: they go to the receivers only, and to no address that the operator has not allowed.
func (s Settings) webhook(h House) (Sender, error) {
	policy, err := egress.New(egress.Options{
		Purpose: "webhook", Allow: s.Webhooks.Targets(), Log: h.Log, Registerer: h.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("WEBHOOK_URLS or WEBHOOK_ALLOW: %w", err)
	}
	client, err := policy.Client(s.Webhooks.CAFile, WebhookTime, h.Tracer)
	if err != nil {
		return nil, err
	}
	return NewWebhook(s.Webhooks, client, h.Clock)
}
