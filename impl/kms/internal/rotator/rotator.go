// Package rotator deploys new versions of secrets outside the kms: to rotators operated by teams, and to Typesense engines. It connects only to targets that the
// operator allows, follows no redirects, and reads bounded answers in bounded time. Every call may be repeated. Its failures are fixed words, which contain no
// value, no credential and nothing of an answer.
package rotator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/egress"
	"github.com/fountainai/fountain/internal/tracing"
)

const (
	callTime  = 5 * time.Second // per request; secret.StepTime bounds those of a step together
	maxAnswer = 1 << 20         // bytes
)

// Options configure the drivers.
type Options struct {
	Allow      []string // entries of package egress; empty allows nothing
	Deny       []string // listeners and stores of the family, which are denied in any case
	CAFile     string   // CAs trusted for the targets, instead of the system's
	Clock      clock.Clock
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     *tracing.Tracer
}

// Rotator creates the drivers.
type Rotator struct {
	door  door
	clock clock.Clock
}

// New returns a Rotator. It fails for invalid entries of Allow and for a CAFile that can't be used.
func New(o Options) (*Rotator, error) {
	policy, err := egress.New(egress.Options{Purpose: "rotation", Allow: o.Allow, Deny: o.Deny, Log: o.Log, Registerer: o.Registerer})
	if err != nil {
		return nil, fmt.Errorf("ROTATION_ALLOW: %w", err)
	}
	client, err := policy.Client(o.CAFile, callTime, o.Tracer)
	if err != nil {
		return nil, fmt.Errorf("ROTATION_CA_FILE: %w", err)
	}
	return &Rotator{door{policy, client}, o.Clock}, nil
}

// Drivers returns the drivers by name. The issuer distinguishes this kms's keys at an engine from those of others.
func (r *Rotator) Drivers(issuer string) map[string]secret.Driver {
	return map[string]secret.Driver{secret.Webhook: webhookDriver{r.door, r.clock}, secret.Typesense: typesenseDriver{r.door, issuer}}
}

// door makes the outgoing calls.
type door struct {
	policy *egress.Policy
	client *http.Client
}

// checkTarget refuses a target that the egress policy does not allow. The policy is checked again for each connection.
func (d door) checkTarget(ctx context.Context, base string) error {
	_, err := d.policy.CheckURL(ctx, base)
	var refused *egress.RefusedError
	if errors.As(err, &refused) {
		return domain.Refuse(domain.ValidationFailed, "The operator does not allow this target.").WithField("body", "/url", "target", refused.Error())
	}
	return err
}

// answer is the response to a call.
type answer struct {
	status int
	body   []byte
}

// call sends a request and reads its answer. All its errors are of type secret.Failure.
func (d door) call(ctx context.Context, method, url string, body []byte, headers map[string]string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, secret.RefusedTarget
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := d.client.Do(request)
	var refused *egress.RefusedError
	switch {
	case errors.As(err, &refused):
		return answer{}, secret.RefusedTarget
	case err != nil:
		return answer{}, secret.NoAnswer
	}
	defer func() { _ = response.Body.Close() }() // everything that is used was read
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, secret.NoAnswer
	case len(content) > maxAnswer:
		return answer{}, secret.AnswerTooLarge
	}
	return answer{response.StatusCode, content}, nil
}
