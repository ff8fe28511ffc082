package challenge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
)

const (
	batch     = 16               // messages that are claimed together; all are sent at once, so that none waits while its lease runs out
	lease     = 30 * time.Second // longer than a provider and its fallback may take
	poll      = time.Second      // between claims without a notification, for messages that wait for a try or that another process wrote
	pollSoon  = 100 * time.Millisecond
	settleFor = 5 * time.Second
)

// noticePause is the longest pause between tries of a notice.
const noticePause = 10 * time.Minute

// pauses are the times between the tries of a code's message; the last one repeats until the code would be of no use.
var pauses = []time.Duration{250 * time.Millisecond, time.Second, 3 * time.Second}

// Run sends due messages until ctx ends. It calls failed with errors of claiming messages and of recording outcomes.
func (s *Service) Run(ctx context.Context, failed func(ctx context.Context, err error)) {
	for ctx.Err() == nil {
		n, err := s.Deliver(ctx)
		if err != nil && ctx.Err() == nil {
			failed(ctx, err)
		}
		pause := poll
		switch {
		case err != nil:
		case n == batch:
			continue // there may be more
		case n > 0:
			pause = pollSoon // one of them may be due for another try soon
		}
		timer := time.NewTimer(pause)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// Deliver sends the messages that are due now, up to batch, and returns how many it has claimed.
func (s *Service) Deliver(ctx context.Context) (int, error) {
	now := s.now()
	orders, err := s.Repository.Claim(ctx, id.New("lease"), now, now.Add(lease), now.Add(max(lease, noticePause)+clock.Slack), batch)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(orders))
	var group sync.WaitGroup
	for i, o := range orders {
		group.Go(func() {
			defer func() { // a fault with one message must not keep the others from being sent
				if r := recover(); r != nil {
					errs[i] = fmt.Errorf("panic while a code was sent: %v", r)
				}
			}()
			errs[i] = s.send(ctx, o)
		})
	}
	group.Wait()
	return len(orders), errors.Join(errs...)
}

// send sends one message and records the outcome.
func (s *Service) send(ctx context.Context, o Order) error {
	receipt, err := s.sendMessage(ctx, o)
	if err != nil && ctx.Err() != nil {
		return nil // interrupted by the end of the service: the message is tried again after its lease
	}
	// Also when ctx has ended, because a message whose outcome is not recorded is sent again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	now := s.now()
	if err == nil {
		s.count(o, "sent")
		return s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
			return tx.Handed(ctx, o, receipt, earlier(now.Add(o.Life), o.Began.Add(LongestChallenge)), now)
		})
	}
	failure := delivery.AsFailure(err)
	next := now.Add(max(o.pause(), failure.After))
	if failure.Permanent || !next.Before(o.GivesUp) {
		s.count(o, "failed")
		s.Log.WarnContext(ctx, "a message was not delivered", "notice", o.Notice, "delivery", o.ID, "channel", o.Channel, "tries", o.Tries, "reason", failure.Reason)
		return s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error { return tx.GiveUp(ctx, o, failure.Reason, now) })
	}
	s.count(o, "retried")
	return s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error { return tx.Postpone(ctx, o, failure.Reason, next, now) })
}

func (s *Service) count(o Order, outcome string) {
	if o.Channel != "" {
		s.Metrics.countDelivery(o.Channel, outcome)
	}
}

// pause returns how long the message waits for its next try, less up to a quarter at random. A notice is of use for a day, so its pauses grow with each
// try.
func (o Order) pause() time.Duration {
	tries := max(o.Tries, 1)
	d := pauses[min(tries, len(pauses))-1]
	if o.Notice != "" {
		d = min(time.Second<<min(tries, 10), noticePause)
	}
	return d - rand.N(d/4)
}

// permanentFailure returns the failure of a message that must not be tried again.
func permanentFailure(reason string) error { return &delivery.Failure{Permanent: true, Reason: reason} }

// sendMessage passes the message to the sender. The message of a subject without a factor is not sent and counts as accepted, because it must look like any other.
func (s *Service) sendMessage(ctx context.Context, o Order) (delivery.Receipt, error) {
	switch {
	case !s.now().Before(o.GivesUp):
		return delivery.Receipt{}, permanentFailure(cmp.Or(o.Reason, "late")) // a code that arrives after it has expired is of no use
	case o.Notice != "":
		return s.sendNotice(ctx, o)
	case !o.Current:
		return delivery.Receipt{}, permanentFailure("ended")
	case o.Channel == "":
		return delivery.Receipt{}, nil
	case len(o.SealedTarget) == 0:
		return delivery.Receipt{}, permanentFailure("revoked")
	}
	target, err := s.Keys.Open(o.SealedTarget, targetAAD(o.FactorID, o.Subject))
	if err != nil {
		return delivery.Receipt{}, errors.Join(permanentFailure("broken"), err)
	}
	code, err := s.Keys.Open(o.SealedCode, codeAAD(o.ID, o.ChallengeID))
	if err != nil {
		return delivery.Receipt{}, errors.Join(permanentFailure("broken"), err)
	}
	purpose := o.Purpose
	if purpose == enrolPurpose(o.FactorID) {
		purpose = shownPurpose
	}
	return s.Sender.Send(ctx, delivery.Message{
		ID: o.ID, Channel: o.Channel, Target: string(target), Subject: o.Subject, Code: string(code), Purpose: purpose, Operation: o.Operation, Life: o.Life,
	})
}

// sendNotice passes a notice to the sender.
func (s *Service) sendNotice(ctx context.Context, o Order) (delivery.Receipt, error) {
	target, err := s.Keys.Open(o.SealedCode, targetAAD(o.FactorID, o.Subject))
	if err != nil {
		return delivery.Receipt{}, errors.Join(permanentFailure("broken"), err)
	}
	return s.Sender.Send(ctx, delivery.Message{ID: o.ID, Channel: o.Channel, Target: string(target), Subject: o.Subject, Notice: string(o.Notice)})
}

// Deliveries returns a page of deliveries, newest first.
func (s *Service) Deliveries(ctx context.Context, after factor.Cursor, limit int) ([]Delivery, error) {
	return s.Repository.Deliveries(ctx, after, limit)
}

// Report records what a provider reports later about a message. A report on an unknown message, and a second report, change nothing.
func (s *Service) Report(ctx context.Context, providerID string, status DeliveryStatus, reason string) error {
	now := s.now()
	known := false
	err := s.Repository.Change(ctx, func(ctx context.Context, tx Tx) (err error) {
		known, err = tx.Report(ctx, providerID, status, reason, now)
		return err
	})
	if err == nil && known {
		s.Metrics.countDelivery(delivery.SMS, map[DeliveryStatus]string{Delivered: "delivered", Failed: "undelivered"}[status])
	}
	return err
}
