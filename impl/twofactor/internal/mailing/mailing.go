// Package mailing sends the mails that the kms has written to people about their accounts. The kms stores them and decides when one is tried again. This
// service stores nothing of them, so that a link is in one database only, where it is sealed.
package mailing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

// Order is a mail that is to be sent now.
type Order struct {
	ID, Lease string
	About     string // a key of delivery.Letters
	To, Link  string
	Until     time.Time
}

// Outcome is the outcome of an order.
type Outcome string

// The outcomes, as the kms names them.
const (
	Sent   Outcome = "sent"
	Retry  Outcome = "retry"
	Failed Outcome = "failed"
)

// Desk is the kms, as the source of orders.
type Desk interface {
	// Claim claims orders that are due, and waits up to wait when there are none.
	Claim(ctx context.Context, wait time.Duration) ([]Order, error)
	// Report reports the outcome of an order to the kms; reason is a word, "" for none.
	Report(ctx context.Context, o Order, outcome Outcome, reason string) error
}

// Sender hands messages to a mail server.
type Sender interface {
	Send(ctx context.Context, m delivery.Message) (delivery.Receipt, error)
}

// Service sends mails.
type Service struct {
	Desk   Desk
	Sender Sender
	Log    *slog.Logger
}

const (
	wait       = 20 * time.Second // how long a claim waits for orders
	sendTime   = 40 * time.Second // less than the lease of the kms
	reportTime = 10 * time.Second
	failPause  = 2 * time.Second // after a failure; twice as long after each further one
	mostPause  = 30 * time.Second
	unknown    = "unknown" // a mail of a newer kms, for which this service has no text
)

// Run sends the mails of the kms until ctx ends. It calls failed with errors of claiming and of reporting.
func (s *Service) Run(ctx context.Context, failed func(ctx context.Context, err error)) {
	pause := failPause
	for ctx.Err() == nil {
		orders, err := s.Desk.Claim(ctx, wait)
		if err == nil {
			err = s.deliver(ctx, orders)
		}
		if err == nil || ctx.Err() != nil {
			pause = failPause
			continue
		}
		failed(ctx, err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, mostPause)
	}
}

// deliver sends all orders at once, so that none waits while its lease runs out.
func (s *Service) deliver(ctx context.Context, orders []Order) error {
	errs := make([]error, len(orders))
	var group sync.WaitGroup
	for i, o := range orders {
		group.Go(func() {
			defer func() { // a fault with one mail must not keep the others from being sent
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic while a mail was sent: %v", r)
				}
			}()
			errs[i] = s.send(ctx, o)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// send sends one mail and reports the outcome, also when ctx has ended meanwhile, because a mail without a report is sent again.
func (s *Service) send(ctx context.Context, o Order) error {
	outcome, reason := s.hand(ctx, o)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	if err := s.Desk.Report(ctx, o, outcome, reason); err != nil {
		return fmt.Errorf("report mail %s: %w", o.ID, err)
	}
	return nil
}

func (s *Service) hand(ctx context.Context, o Order) (Outcome, string) {
	if _, known := delivery.Letters[o.About]; !known {
		return Failed, unknown
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	_, err := s.Sender.Send(ctx, delivery.Message{
		ID: o.ID, Channel: delivery.Email, Target: o.To, Letter: &delivery.Letter{About: o.About, Link: o.Link, Until: o.Until},
	})
	if err == nil {
		return Sent, ""
	}
	failure := delivery.AsFailure(err)
	if failure.Permanent {
		return Failed, failure.Reason
	}
	return Retry, failure.Reason
}
