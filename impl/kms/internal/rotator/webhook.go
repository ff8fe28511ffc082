package rotator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/webhook"
)

// webhookDriver tells a rotator of a team what to do. The value is made here and sent, so that a call whose answer was lost is made again with the same one.
type webhookDriver struct {
	door
	clock clock.Clock
}

// Check implements secret.Driver.
func (d webhookDriver) Check(ctx context.Context, r secret.Rotation) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return domain.Refuse(domain.ValidationFailed, "A rotator is called by https.").WithField("body", "/url", "format", "is https://HOST[:PORT]/PATH")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return d.allowed(ctx, "https://"+host+":"+port)
}

// webhookBody is what a rotator gets.
type webhookBody struct {
	ID      string          `json:"id"` // of what is to be done: the same one when it is sent again
	Step    string          `json:"step"`
	Secret  string          `json:"secret"`
	Version int64           `json:"version"`
	Value   string          `json:"value,omitempty"`
	Current *webhookVersion `json:"current,omitempty"` // at the step end: what works instead
}

type webhookVersion struct {
	Version int64  `json:"version"`
	Value   string `json:"value"`
}

// Do implements secret.Driver.
func (d webhookDriver) Do(ctx context.Context, c secret.Call) error {
	b := webhookBody{ID: fmt.Sprintf("%s:%d:%s:%d", c.Name, c.Version, c.Step, c.Since.UnixMicro()), Step: string(c.Step), Secret: c.Name, Version: c.Version, Value: c.Value}
	if c.Step == secret.End {
		b.Current = &webhookVersion{c.Current, c.CurrentValue}
	}
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	got, err := d.call(ctx, http.MethodPost, c.URL, body, map[string]string{
		webhook.Header: webhook.Sign(d.clock.Now(), body, c.Credentials...), "Idempotency-Key": b.ID,
	})
	if err == nil && got.status/100 != 2 {
		err = secret.Rejected
	}
	return err
}
