// Package apikey takes an API key in the place of a bearer token where the contract says apiKey: true. The key is traded at the kms for a
// token of the operation's service, which goes on in its place: no service behind the gateway ever sees a key.
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
	// margin is how long before its end a kept token is not used any more: it still has to reach the service.
	margin = time.Minute
	// refusalLife is how long a refused key is refused without asking again, so that a caller who does not stop costs the kms one request
	// in this time. A key that begins to work waits no longer.
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

// Trader trades keys. It is safe for concurrent use.
type Trader struct {
	tokens   *tokens
	verifier *auth.Verifier
	clock    clock.Clock
	kept     kept
	running  singleflight.Group
	places   places
	trades   *prometheus.CounterVec
}

// New makes a Trader.
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

// Authenticate puts a token in the place of an API key and its principal into the exchange. It reports false when the request brings no
// key, or the operation takes none. Errors: invalid_token for a key that does not hold, insufficient_scope for one without a scope of the
// service, rate_limited by the key's own limit, unavailable and overloaded when the kms can't be asked.
func (t *Trader) Authenticate(x *httpserver.Exchange) (bool, error) {
	if x.Operation.Public || !x.Operation.Policy.APIKey {
		return false, nil
	}
	text, err := auth.Bearer(x.Request)
	if err != nil || !keytext.Looks(text) {
		return false, nil // what is no key is judged as a token
	}
	id, ok := keytext.Parse(text)
	if !ok {
		return true, refusal(errors.New("the text is not that of a key"))
	}
	what := trade{id: id, text: text, audience: x.Operation.Word}
	p, err := t.principal(x.Request.Context(), what, x.Network())
	if auth.IsInvalid(err) { // what the token stood on has changed since it was issued; the key may be good all the same
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

// trade is one key that is to become a token for one service.
type trade struct{ id, text, audience string }

// principal returns that of a kept token, or of a new one. A kept token is verified like any other, so a key, an owner or a service that was
// ended is refused as soon as the revocation feed tells it. network is the client's.
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

// ask trades the key. Requests of one key wait for one trade, unless the key has a limit of its own: then each counts.
func (t *Trader) ask(ctx context.Context, what trade, network string) (outcome, error) {
	if t.kept.counted(what) {
		return t.once(ctx, what, network)
	}
	led := false
	done := t.running.DoChan(what.audience+" "+what.text, func() (any, error) {
		led = true
		// It goes on for the others when the first one leaves; the client's timeout bounds it.
		return t.once(context.WithoutCancel(ctx), what, network)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return outcome{}, r.Err
		}
		result := r.Val.(outcome)
		if result.counted && !led {
			return t.once(ctx, what, network) // one token counts for one request
		}
		return result, nil
	case <-ctx.Done():
		return outcome{}, problem.New(problem.Unavailable, "The API key could not be checked in time.").WithRetryAfter(time.Second).Wrap(ctx.Err())
	}
}

// once asks the kms and keeps what it says.
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

// refusal is the answer to a key that does not hold, in the words of RFC 6750, section 3.1.
func refusal(why error) error {
	return problem.New(problem.InvalidToken, "The API key does not hold.").
		WithHeader("WWW-Authenticate", `Bearer realm="fountain", error="invalid_token"`).Wrap(why)
}

// scopeless is the answer to a key that has no scope of the service.
func scopeless(audience string) error {
	return problem.New(problem.InsufficientScope, "The API key has no scope of this service.").
		WithHeader("WWW-Authenticate", `Bearer realm="fountain", error="insufficient_scope"`).Wrap(fmt.Errorf("no scope of %s", audience))
}
