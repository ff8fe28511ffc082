package mail

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Claim returns the mails that are to be sent now, and waits up to wait when there are none. Only the twofactor service may call it (domain.Forbidden). Each
// call also records that mails are being sent (see On).
func (s *Mails) Claim(ctx context.Context, caller *auth.Principal, wait time.Duration) (_ []Claimed, err error) {
	defer tried.To(&err, "claim mails")
	timer := time.NewTimer(min(wait, maxWait))
	defer timer.Stop()
	for {
		more, open := s.waiting()
		claimed, err := s.claim(ctx, caller)
		if err != nil || len(claimed) > 0 || wait <= 0 || !open {
			return claimed, err
		}
		for due := false; !due; {
			select {
			case <-more:
				due = true
			case <-timer.C:
				return nil, nil
			case <-ctx.Done():
				return nil, nil // the sender disconnected, which is no failure
			case <-time.After(lookPause):
				if due, err = s.Rows.Due(ctx, s.DB.Read(ctx), s.Clock.Now()); err != nil {
					return nil, fmt.Errorf("look for mails: %w", err)
				}
			}
		}
	}
}

// claim leases the due mails and opens their contents.
func (s *Mails) claim(ctx context.Context, caller *auth.Principal) (claimed []Claimed, err error) {
	now := domain.Now(s.Clock)
	var orders []Order
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := s.onlyTwofactor(ctx, tx, caller); err != nil {
			return err
		}
		if err := s.Rows.Seen(ctx, tx, now, now.Add(-seenPause)); err != nil {
			return fmt.Errorf("record that mails are claimed: %w", err)
		}
		orders, err = s.Rows.Claim(ctx, tx, id.New("lease"), now, now.Add(leaseTime), batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		c, err := s.open(o)
		if err != nil { // its lease runs out, and it fails when it expires
			s.Log.ErrorContext(ctx, "a mail can't be read", "mail", o.ID, "error", err)
			continue
		}
		claimed = append(claimed, c)
	}
	return claimed, nil
}

func (s *Mails) onlyTwofactor(ctx context.Context, tx *store.Tx, caller *auth.Principal) error {
	held, err := s.Standing.Hold(ctx, tx, caller)
	if err != nil {
		return err
	}
	if !held.Caller.Family || held.Caller.Name != authority.Twofactor {
		return domain.Refuse(domain.Forbidden, "Only the twofactor service can send mails.")
	}
	return nil
}

// Outcome is the result of sending a mail.
type Outcome struct {
	ID, Lease string
	Status    Status // Waiting: to be tried again
	Reason    string
}

// Report records the outcome of a mail. Only the twofactor service may call it (domain.Forbidden). A report under an expired lease changes nothing.
func (s *Mails) Report(ctx context.Context, caller *auth.Principal, o Outcome) (err error) {
	defer tried.To(&err, "report mail")
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.onlyTwofactor(ctx, tx, caller); err != nil {
			return err
		}
		m, found, err := s.Rows.Leased(ctx, tx, o.ID, o.Lease)
		if err != nil || !found {
			return err
		}
		now := domain.Now(s.Clock)
		due := now.Add(retryDelay(m.Tries))
		m.Status, m.Reason, m.UpdatedAt = o.Status, o.Reason, now
		if o.Status == Waiting && !due.Before(m.ExpiresAt) {
			m.Status = Failed
		}
		if err := s.Rows.Settle(ctx, tx, o.Lease, m, due); err != nil {
			return fmt.Errorf("store outcome: %w", err)
		}
		tx.AfterCommit(func() { s.recordOutcome(ctx, m) })
		return nil
	})
}

// recordOutcome counts an outcome, and logs a failure.
func (s *Mails) recordOutcome(ctx context.Context, m Mail) {
	outcome := map[Status]string{Waiting: "retried", Sent: "sent", Failed: "failed"}[m.Status]
	s.count.WithLabelValues(string(m.Kind), outcome).Inc()
	if m.Status == Failed {
		s.Log.WarnContext(ctx, "a mail was not sent", "mail", m.ID, "kind", m.Kind, "user", m.UserID, "tries", m.Tries, "reason", m.Reason)
	}
}

// retryDelay returns how long a mail waits after its tries: 5 seconds, then four times as long each time, at most 10 minutes.
func retryDelay(tries int) time.Duration {
	d := 5 * time.Second
	for range min(max(tries, 1)-1, 4) {
		d *= 4
	}
	return min(d, longestTry)
}

func (s *Mails) waiting() (more <-chan struct{}, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.more, !s.closed
}

// wake makes waiting calls of Claim look for mails again.
func (s *Mails) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.more)
		s.more = make(chan struct{})
	}
}

// Run waits for ctx to end, and then releases all waiting calls of Claim.
func (s *Mails) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	close(s.more)
	return nil
}
