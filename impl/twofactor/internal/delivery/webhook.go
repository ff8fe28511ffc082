package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/webhook"
)

// WebhookTime bounds a call to a webhook.
const WebhookTime = 3 * time.Second

// Webhooks configures the receivers of webhooks. Only the operator names their addresses.
type Webhooks struct {
	Endpoints          []string `env:"URLS"`                 // NAME=https://host[:port]/path; people enrol the name
	SecretFile         string   `env:"SECRET_FILE"`          // contains the secret that bodies are signed with; read for each call
	PreviousSecretFile string   `env:"PREVIOUS_SECRET_FILE"` // contains the secret before it, while receivers change to the new one
	CAFile             string   `env:"CA_FILE"`              // authorities trusted for the receivers, instead of the system's
	Allow              []string `env:"ALLOW"`                // entries of package egress for receivers without a public address
}

var webhookName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Validate checks the settings. It has no side effects.
func (w Webhooks) Validate() error {
	if len(w.Endpoints) == 0 {
		if w.SecretFile != "" || w.PreviousSecretFile != "" || w.CAFile != "" || len(w.Allow) > 0 {
			return errors.New("URLS: is required with the other settings of webhooks")
		}
		return nil
	}
	_, err := w.parse()
	if w.SecretFile == "" {
		err = errors.Join(err, errors.New("SECRET_FILE: is required"))
	}
	return err
}

// parse returns the URLs by name.
func (w Webhooks) parse() (map[string]*url.URL, error) {
	urls := map[string]*url.URL{}
	for i, entry := range w.Endpoints {
		name, raw, _ := strings.Cut(strings.TrimSpace(entry), "=")
		u, err := url.Parse(raw)
		if !webhookName.MatchString(name) || urls[name] != nil || err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return nil, fmt.Errorf("URLS: entry %d must be NAME=https://host[:port]/path, with a unique name of lowercase letters, digits and hyphens", i+1)
		}
		urls[name] = u
	}
	return urls, nil
}

// Targets returns the receivers as entries of package egress, each for public addresses.
func (w Webhooks) Targets() []string {
	urls, err := w.parse()
	if err != nil {
		return nil
	}
	var targets []string
	for _, u := range urls {
		port := u.Port()
		if port == "" {
			port = "443"
		}
		targets = append(targets, u.Hostname()+":"+port)
	}
	return append(targets, w.Allow...)
}

// Names returns the names of the receivers.
func (w Webhooks) Names() []string {
	urls, err := w.parse()
	if err != nil {
		return nil
	}
	var names []string
	for name := range urls {
		names = append(names, name)
	}
	return names
}

type webhookSender struct {
	c      Webhooks
	urls   map[string]*url.URL
	client *http.Client
	clock  clock.Clock
}

// NewWebhook returns the sender for a valid configuration. client must be of package egress: it connects to the receivers only, and follows no redirects.
func NewWebhook(c Webhooks, client *http.Client, now clock.Clock) (Sender, error) {
	urls, err := c.parse()
	return &webhookSender{c, urls, client, now}, err
}

// Name implements Sender.
func (s *webhookSender) Name() string { return "webhook" }

// webhookBody is the body that a receiver gets.
type webhookBody struct {
	ID          string `json:"id"`
	Subject     string `json:"subject"`
	Code        string `json:"code,omitempty"`
	Purpose     string `json:"purpose,omitempty"`
	Operation   string `json:"operation,omitempty"`
	LifeSeconds int    `json:"lifeSeconds,omitempty"`
	Notice      string `json:"notice,omitempty"` // instead of a code: what was done to the person's factors
}

// Send implements Sender.
func (s *webhookSender) Send(ctx context.Context, m Message, _ Text) (Receipt, error) {
	to := s.urls[m.Target]
	if to == nil {
		return Receipt{}, permanent(Rejected, ErrWebhookName)
	}
	body, err := json.Marshal(webhookBody{m.ID, m.Subject, m.Code, m.Purpose, m.Operation, int(m.Life / time.Second), m.Notice})
	if err != nil {
		return Receipt{}, permanent(Rejected, err)
	}
	signature, err := s.sign(body)
	if err != nil {
		return Receipt{}, temporary(Refused, 0, err)
	}
	ctx, cancel := context.WithTimeout(ctx, WebhookTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return Receipt{}, permanent(Rejected, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", m.ID)
	request.Header.Set(webhook.Header, signature)
	answer, err := s.client.Do(request)
	if err != nil {
		return Receipt{}, temporary(Unreachable, 0, errors.New("no answer in time, or no connection that is allowed"))
	}
	_ = answer.Body.Close() // its content says nothing that the status does not
	cause := fmt.Errorf("the receiver answered %d", answer.StatusCode)
	switch {
	case answer.StatusCode/100 == 2:
		return Receipt{ID: m.ID}, nil
	case answer.StatusCode == http.StatusTooManyRequests:
		return Receipt{}, temporary(Limited, 0, cause)
	case answer.StatusCode >= 500:
		return Receipt{}, temporary(Unreachable, 0, cause)
	}
	return Receipt{}, permanent(Rejected, cause)
}

// sign returns the value of webhook.Header. While a previous secret is configured, it has a second sum, made with that secret.
func (s *webhookSender) sign(body []byte) (string, error) {
	var secrets []string
	for _, file := range []string{s.c.SecretFile, s.c.PreviousSecretFile} {
		if file == "" {
			continue
		}
		secret, err := config.ReadSecret(file)
		if err != nil {
			return "", err
		}
		secrets = append(secrets, secret)
	}
	return webhook.Sign(s.clock.Now(), body, secrets...), nil
}
