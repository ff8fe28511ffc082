// Package apikey accepts an API key as bearer token where the contract says apiKey: true. It exchanges the key at the kms for a token of the operation's
// service, and forwards that token instead: no service behind the gateway ever sees a key.
package apikey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	// margin is how long before its expiry a cached token is no longer used, since it still has to reach the service.
	margin = time.Minute
	// refusalLife is how long a refused key is refused without asking again. A caller who keeps trying costs the kms one request in this time. A key that
	// becomes valid waits no longer than that.
	refusalLife = time.Second
)

// Options configure a Trader. All are required.
type Options struct {
	KMSURL     string // base URL without /kms/v1
	Client     *http.Client
	Verifier   *auth.Verifier
	Clock      clock.Clock
	Registerer prometheus.Registerer
}

// Trader exchanges API keys for tokens. It is safe for concurrent use.
type Trader struct {
	tokens   *tokens
	verifier *auth.Verifier
	clock    clock.Clock
	kept     kept
	running  singleflight.Group
	places   places
	trades   *prometheus.CounterVec
}

// New returns a Trader.
func New(o Options) (*Trader, error) {
	to, err := newTokens(o.KMSURL, o.Client)
	if err != nil {
		return nil, err
	}
	t := &Trader{
		tokens: to, verifier: o.Verifier, clock: o.Clock,
		trades: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fountain_gateway_key_trades_total", Help: "API keys that the gateway traded at the kms for a token, by outcome: issued, refused, limited or failed.",
		}, []string{"outcome"}),
	}
	o.Registerer.MustRegister(t.trades)
	return t, nil
}

// Authenticate replaces an API key with a token and sets the exchange's principal. It returns false when the request has no key, or the operation accepts
// none. Errors: problem.InvalidToken for an invalid key, problem.InsufficientScope for one without a scope of the service, problem.RateLimited by the
// key's own limit, problem.Unavailable and problem.Overloaded when the kms can't be asked.
func (t *Trader) Authenticate(x *httpserver.Exchange) (bool, error) {
	if x.Operation.Public || !x.Operation.Policy.APIKey {
		return false, nil
	}
	text, err := auth.Bearer(x.Request)
	if err != nil || !keytext.Looks(text) {
		return false, nil // any other text is checked as a token
	}
	id, ok := keytext.Parse(text)
	if !ok {
		return true, refusal(errors.New("the text is not that of a key"))
	}
	what := trade{id: id, text: text, audience: x.Operation.Word}
	p, err := t.principal(x.Request.Context(), what, x.Network())
	if auth.IsInvalid(err) { // the token was revoked or has become invalid since it was issued, but the key may still be valid
		if t.kept.drop(what) {
			p, err = t.principal(x.Request.Context(), what, x.Network())
		}
	}
	if err != nil {
		return true, err
	}
	x.Principal = p
	x.Request.Header.Set("Authorization", "Bearer "+p.Token)
	return true, nil
}

// trade identifies the exchange of one key for a token of one service.
type trade struct{ id, text, audience string }

// principal returns the principal of a cached or new token. A cached token is verified like any other, so that a key, owner or service that was ended is
// refused as soon as the revocation feed reports it. network is the client's network.
func (t *Trader) principal(ctx context.Context, what trade, network string) (*auth.Principal, error) {
	result, known := t.kept.get(what, t.clock.Now())
	if !known {
		var err error
		if result, err = t.ask(ctx, what, network); err != nil {
			return nil, err
		}
	}
	if result.refused != nil {
		return nil, result.refused
	}
	p, err := t.verifier.Verify(ctx, result.token, what.audience)
	if err != nil {
		return nil, fmt.Errorf("verify the token of a key: %w", err)
	}
	if p.ClientID != what.id {
		return nil, problem.New(problem.BadUpstream, "The API key could not be checked.").Wrap(errors.New("the kms issued the token of another key"))
	}
	return p, nil
}

// ask exchanges the key. Concurrent requests with one key share one exchange, unless the key has a rate limit of its own: then each request must count.
func (t *Trader) ask(ctx context.Context, what trade, network string) (outcome, error) {
	if t.kept.counted(what) {
		return t.once(ctx, what, network)
	}
	led := false
	done := t.running.DoChan(what.audience+" "+what.text, func() (any, error) {
		led = true
		// It continues for the others when the first request is cancelled; the client's timeout bounds it.
		return t.once(context.WithoutCancel(ctx), what, network)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return outcome{}, r.Err
		}
		result := r.Val.(outcome)
		if result.counted && !led {
			return t.once(ctx, what, network) // with a limit, one token counts for one request
		}
		return result, nil
	case <-ctx.Done():
		return outcome{}, problem.New(problem.Unavailable, "The API key could not be checked in time.").WithRetryAfter(time.Second).Wrap(ctx.Err())
	}
}

// once asks the kms and caches the outcome.
func (t *Trader) once(ctx context.Context, what trade, network string) (outcome, error) {
	if !t.places.take(network) {
		return outcome{}, problem.New(problem.Overloaded, "Too many API keys are being checked right now.").WithRetryAfter(time.Second)
	}
	defer t.places.leave(network)
	result, err := t.tokens.issue(ctx, what)
	t.trades.WithLabelValues(label(result, err)).Inc()
	if err != nil {
		return outcome{}, err
	}
	t.kept.put(what, result, t.clock.Now())
	return result, nil
}

func label(result outcome, err error) string {
	switch {
	case errors.Is(err, problem.RateLimited):
		return "limited"
	case err != nil:
		return "failed"
	case result.refused != nil:
		return "refused"
	}
	return "issued"
}

// refusal returns the problem for an invalid key, as of RFC 6750, section 3.1.
func refusal(why error) error {
	return problem.New(problem.InvalidToken, "The API key is not valid.").
		WithHeader("WWW-Authenticate", `Bearer realm="fountain", error="invalid_token"`).Wrap(why)
}

// scopeless returns the problem for a key that has no scope of the service.
func scopeless(audience string) error {
	return problem.New(problem.InsufficientScope, "The API key has no scope of this service.").
		WithHeader("WWW-Authenticate", `Bearer realm="fountain", error="insufficient_scope"`).Wrap(fmt.Errorf("no scope of %s", audience))
}
