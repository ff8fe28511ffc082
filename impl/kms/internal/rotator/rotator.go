// Package rotator puts new versions of secrets where they work outside the kms: at rotators of teams, and at engines of Typesense. It connects to what the
// operator allows alone, follows no redirect, reads a bounded answer in a bounded time, and every call may be made again. Its failures are words; no value, no
// credential and nothing of an answer is in them.
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
	callTime  = 5 * time.Second // of one request; secret.StepTime bounds those of a step together
	maxAnswer = 1 << 20         // bytes of an answer
)

// Options configure the drivers.
type Options struct {
	Allow      []string // entries of package egress; none allows nothing
	Deny       []string // listeners and stores of the family, which no entry allows
	CAFile     string   // authorities trusted for the targets, instead of the system's
	Clock      clock.Clock
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     *tracing.Tracer
}

// Rotator makes the drivers.
type Rotator struct {
	door  door
	clock clock.Clock
}

// New makes a Rotator.
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

// Drivers returns the drivers by their names. By the issuer keys at an engine are told from those of others.
func (r *Rotator) Drivers(issuer string) map[string]secret.Driver {
	return map[string]secret.Driver{secret.Webhook: webhookDriver{r.door, r.clock}, secret.Typesense: typesenseDriver{r.door, issuer}}
}

// door makes the calls.
type door struct {
	policy *egress.Policy
	client *http.Client
}

// allowed refuses a target that no connection could be made to. Each connection is judged again.
func (d door) allowed(ctx context.Context, base string) error {
	_, err := d.policy.CheckURL(ctx, base)
	var refused *egress.RefusedError
	if errors.As(err, &refused) {
		return domain.Refuse(domain.ValidationFailed, "The operator does not allow this target.").WithField("body", "/url", "target", refused.Error())
	}
	return err
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
}

// call sends a request and reads its answer. Its errors are secret.Failure.
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
	defer func() { _ = response.Body.Close() }() // what was read is all that is used
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, secret.NoAnswer
	case len(content) > maxAnswer:
		return answer{}, secret.AnswerTooLarge
	}
	return answer{response.StatusCode, content}, nil
}
