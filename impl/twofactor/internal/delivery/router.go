package delivery

import (
	"context"
	"log/slog"

	"github.com/fountainai/fountain/internal/clock"
)

// Router sends each message by a provider of its channel: by the first one, or by the next while that one fails or its breaker is open.
type Router struct {
	templates *Templates
	routes    map[Channel][]*route
	countries []string
	webhooks  map[string]bool
	log       *slog.Logger
}

type route struct {
	sender  Sender
	breaker *breaker
}

// send passes a message to the route's provider, and records the outcome in the breaker, also after a panic.
func (r *route) send(ctx context.Context, m Message, text Text, probe bool) (receipt Receipt, err error) {
	works := false
	defer func() { r.breaker.settle(probe, works) }()
	receipt, err = r.sender.Send(ctx, m, text)
	receipt.Provider = r.sender.Name()
	works = err == nil || AsFailure(err).Reason == Rejected // a provider that rejects one message works
	return receipt, err
}

// Routes are the providers of each channel, the preferred one first.
type Routes struct {
	Email, SMS, Webhook []Sender
	Countries           []string // ISO 3166-1 codes of the countries to whose numbers SMS are sent; none: SMS is off
	Webhooks            []string // the names of the webhooks
	Templates           *Templates
	Clock               clock.Clock
	Log                 *slog.Logger
}

// NewRouter returns a Router.
func NewRouter(r Routes) (*Router, error) {
	if err := checkCountries(r.Countries); err != nil {
		return nil, err
	}
	router := &Router{templates: r.Templates, routes: map[Channel][]*route{}, countries: r.Countries, webhooks: map[string]bool{}, log: r.Log}
	for channel, senders := range map[Channel][]Sender{Email: r.Email, SMS: r.SMS, Webhook: r.Webhook} {
		for _, sender := range senders {
			router.routes[channel] = append(router.routes[channel], &route{sender, &breaker{clock: r.Clock}})
		}
	}
	if len(r.Countries) == 0 {
		delete(router.routes, SMS)
	}
	for _, name := range r.Webhooks {
		router.webhooks[name] = true
	}
	return router, nil
}

// On reports whether the channel has a provider.
func (r *Router) On(channel Channel) bool { return len(r.routes[channel]) > 0 }

// Channels returns the channels that have a provider.
func (r *Router) Channels() []Channel {
	var on []Channel
	for _, channel := range []Channel{Email, SMS, Webhook} {
		if r.On(channel) {
			on = append(on, channel)
		}
	}
	return on
}

// Working reports whether the channel has a provider whose breaker is not open.
func (r *Router) Working(channel Channel) bool {
	for _, route := range r.routes[channel] {
		if !route.breaker.open() {
			return true
		}
	}
	return false
}

// Send sends a message by the first provider that accepts it. Every error is a *Failure; it is permanent when a provider rejects the message itself.
func (r *Router) Send(ctx context.Context, m Message) (Receipt, error) {
	if !r.On(m.Channel) {
		return Receipt{}, permanent(Off, nil)
	}
	text, err := r.templates.Render(m)
	if err != nil {
		return Receipt{}, permanent(Rejected, err)
	}
	last := temporary(Resting, 0, nil)
	for _, route := range r.routes[m.Channel] {
		admitted, probe := route.breaker.admit()
		if !admitted {
			continue
		}
		receipt, err := route.send(ctx, m, text, probe)
		if err == nil {
			return receipt, nil
		}
		failure := AsFailure(err)
		r.log.WarnContext(ctx, "a provider did not accept a message", "provider", route.sender.Name(), "delivery", m.ID, "reason", failure.Reason, "error", err)
		if failure.Reason == Rejected {
			return Receipt{}, failure
		}
		last = failure
	}
	return Receipt{}, last
}
