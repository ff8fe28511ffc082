package challenge

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Request describes the challenge that a caller asks for.
type Request struct {
	Subject   string           // a service names it; "" for a user, who is the subject
	Channel   delivery.Channel // "": the subject's factor that was used last
	Purpose   string
	Operation string
	Life      time.Duration
}

// Create sends a code to one of the subject's factors. A service that names a subject without a suitable factor gets a challenge that looks like any other
// and for which no code is right, because it must not learn who has which factors.
func (s *Service) Create(ctx context.Context, c Caller, r Request) (_ Challenge, err error) {
	defer tried.To(&err, "create challenge")
	if err := c.setSubject(&r); err != nil {
		return Challenge{}, err
	}
	if err := s.checkReachable(r.Channel); err != nil {
		return Challenge{}, err
	}
	target, found, err := s.chooseTarget(ctx, r)
	if err != nil {
		return Challenge{}, err
	}
	if !found && !c.Service {
		return Challenge{}, refuse(NoFactor, "You have no confirmed address to which a code could be sent.")
	}
	made, err := s.make(c, r, target)
	if err != nil {
		return Challenge{}, err
	}
	err = s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
		if err := s.write(ctx, tx, made); err != nil {
			return err
		}
		return tx.Record(ctx, c.event(made, "createChallenge", map[string]string{"purpose": r.Purpose, "subject": r.Subject}))
	})
	if err != nil {
		return Challenge{}, err
	}
	s.notify()
	s.Metrics.happened(created)
	return made.Challenge, nil
}

// setSubject sets the subject of the challenge, or refuses one that the caller may not name.
func (c Caller) setSubject(r *Request) error {
	switch {
	case c.Service && r.Subject == "":
		return refuse(SubjectLack, "A service must name the subject.")
	case !c.Service && r.Subject != "" && r.Subject != c.Subject:
		return refuse(NotYours, "A user can only request codes for their own account.")
	case !c.Service:
		r.Subject = c.Subject
	}
	return nil
}

// checkReachable refuses while no provider that could deliver the code works. The result does not depend on the subject.
func (s *Service) checkReachable(channel delivery.Channel) error {
	wanted := []delivery.Channel{channel}
	if channel == "" {
		wanted = s.Sender.Channels()
	}
	for _, one := range wanted {
		if s.Sender.Working(one) {
			return nil
		}
	}
	return refuseFor(Away, 5*time.Second, "No code can be sent by this channel at the moment; use another factor.")
}

// chooseTarget finds the factor to which the code is sent, and opens its target. It logs and skips a target that can't be opened.
func (s *Service) chooseTarget(ctx context.Context, r Request) (address, bool, error) {
	targets, err := s.Repository.Targets(ctx, r.Subject)
	if err != nil {
		return address{}, false, err
	}
	for _, t := range targets {
		if !s.Sender.On(t.Channel) || r.Channel != "" && r.Channel != t.Channel {
			continue
		}
		opened, err := s.Keys.Open(t.Sealed, targetAAD(t.FactorID, r.Subject))
		if err != nil {
			s.Log.ErrorContext(ctx, "a factor's target can't be decrypted", "factor", t.FactorID, "error", err)
			continue
		}
		return address{t, string(opened)}, true, nil
	}
	return address{}, false, nil
}

// address is a target that has been opened.
type address struct {
	Target
	open string
}

// draft is a challenge with the delivery of its code, not yet written.
type draft struct {
	Challenge
	Delivery
	target string
}

// make returns a new challenge with a code and its delivery.
func (s *Service) make(c Caller, r Request, to address) (draft, error) {
	now := s.now()
	d := draft{target: to.open, Challenge: Challenge{
		ID: id.New("chl"), Subject: r.Subject, Client: c.Client, Purpose: r.Purpose, Channel: to.Channel, FactorID: to.FactorID, Operation: r.Operation,
		Status: Open, Life: r.Life, Created: now, MaskedTarget: to.Masked,
	}}
	return d, s.draw(&d, now)
}

// draw gives a draft a new code and a new delivery. Until a provider accepts the message, the code expires at the latest time that a try and the life after it allow.
func (s *Service) draw(d *draft, now time.Time) error {
	code, err := newCode(s.Random)
	if err != nil {
		return err
	}
	c := &d.Challenge
	c.CodeAt, c.DeliveryID = now, id.New("dlv")
	c.Expires = earlier(now.Add(2*c.Life), c.Created.Add(LongestChallenge))
	d.Delivery = Delivery{
		ID: c.DeliveryID, ChallengeID: c.ID, Subject: c.Subject, FactorID: c.FactorID, Channel: c.Channel, Status: Queued,
		GivesUp: earlier(now.Add(c.Life), c.Created.Add(LongestChallenge)), Created: now,
	}
	c.Delivery = Queued
	if d.SealedCode, err = s.Keys.Seal([]byte(code), codeAAD(d.Delivery.ID, c.ID)); err != nil {
		return err
	}
	if c.Channel == "" {
		code = "none" // no caller can give it
	}
	c.CodeSum, err = s.Keys.Sum(codeData(c.ID, code))
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// write counts the message, ends the open challenge of the same subject and purpose, and inserts the challenge and its delivery.
func (s *Service) write(ctx context.Context, tx Tx, d draft) error {
	now := d.Challenge.CodeAt
	if err := s.spend(ctx, tx, d.Challenge.Subject, d.Challenge.Channel, d.target, now); err != nil {
		return err
	}
	if err := tx.Replace(ctx, d.Challenge.Subject, d.Purpose, now); err != nil {
		return err
	}
	if err := tx.InsertChallenge(ctx, d.Challenge); err != nil {
		return err
	}
	return tx.InsertDelivery(ctx, d.Delivery)
}

// event returns an event about a challenge.
func (c Caller) event(d draft, action string, detail map[string]string) Event {
	return Event{
		At: d.CodeAt, Action: action, Actor: c.Caller.Subject, Service: c.Service, Target: d.Challenge.ID, RequestID: c.RequestID, Detail: detail,
	}
}

// Resend sends another code for the same challenge. Attempts that were made still count.
func (s *Service) Resend(ctx context.Context, c Caller, challengeID string) (_ Challenge, err error) {
	defer tried.To(&err, "send another code")
	now := s.now()
	was, err := s.own(ctx, c, challengeID)
	if err != nil {
		return Challenge{}, err
	}
	if err := refusalOf(was.StatusAt(now), false); err != nil {
		return Challenge{}, err
	}
	if wait := was.ResendAfter().Sub(now); wait > 0 && wait <= ResendPause {
		return Challenge{}, refuseFor(Budget, wait, "A code was sent recently; wait before you request another one.")
	}
	if err := s.checkReachable(was.Channel); err != nil {
		return Challenge{}, err
	}
	d := draft{Challenge: was}
	if d.target, err = s.targetOf(ctx, was); err != nil {
		return Challenge{}, err
	}
	if err := s.draw(&d, now); err != nil {
		return Challenge{}, err
	}
	err = s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error { return s.renew(ctx, tx, c, d, now) })
	if err != nil {
		return Challenge{}, err
	}
	s.notify()
	s.Metrics.happened(resent)
	return d.Challenge, nil
}

func (s *Service) renew(ctx context.Context, tx Tx, c Caller, d draft, now time.Time) error {
	if err := s.spend(ctx, tx, d.Challenge.Subject, d.Challenge.Channel, d.target, now); err != nil {
		return err
	}
	renewed, err := tx.Renew(ctx, d.Challenge, now)
	if err != nil {
		return err
	}
	if !renewed {
		return refuse(Gone, "The challenge has ended; begin a new one.")
	}
	if err := tx.Drop(ctx, d.Challenge.ID, "replaced", now); err != nil {
		return err
	}
	if err := tx.InsertDelivery(ctx, d.Delivery); err != nil {
		return err
	}
	return tx.Record(ctx, c.event(d, "resendChallenge", nil))
}

// targetOf opens the target of a challenge, for its budgets. It is empty for a challenge without a factor. A factor that was revoked is refused.
func (s *Service) targetOf(ctx context.Context, c Challenge) (string, error) {
	if c.FactorID == "" {
		return "", nil
	}
	sealed, err := s.Repository.SealedTarget(ctx, c.Subject, c.FactorID)
	if err != nil {
		return "", err
	}
	if len(sealed) == 0 {
		return "", refuse(Gone, "The factor of this challenge was revoked; begin a new one.")
	}
	opened, err := s.Keys.Open(sealed, targetAAD(c.FactorID, c.Subject))
	return string(opened), err
}

// own returns a challenge of the caller. Challenges of other callers are not found.
func (s *Service) own(ctx context.Context, c Caller, challengeID string) (Challenge, error) {
	found, known, err := s.Repository.Challenge(ctx, challengeID)
	if err != nil {
		return Challenge{}, err
	}
	if !known || !c.owns(found) {
		return Challenge{}, notFound()
	}
	return found, nil
}

// owns reports whether the caller asked for the challenge.
func (c Caller) owns(ch Challenge) bool {
	return ch.Client == c.Client && (c.Service || ch.Subject == c.Subject)
}

// Get returns a challenge of the caller.
func (s *Service) Get(ctx context.Context, c Caller, challengeID string) (_ Challenge, err error) {
	defer tried.To(&err, "read challenge")
	return s.own(ctx, c, challengeID)
}

// Cancel ends an open challenge of the caller.
func (s *Service) Cancel(ctx context.Context, c Caller, challengeID string) (err error) {
	defer tried.To(&err, "cancel challenge")
	now := s.now()
	if _, err := s.own(ctx, c, challengeID); err != nil {
		return err
	}
	return s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
		done, err := tx.Cancel(ctx, challengeID, c.Client, now)
		if err != nil {
			return err
		}
		if !done {
			return notFound()
		}
		if err := tx.Drop(ctx, challengeID, "cancelled", now); err != nil {
			return err
		}
		return tx.Record(ctx, Event{
			At: now, Action: "cancelChallenge", Actor: c.Subject, Service: c.Service, Target: challengeID, RequestID: c.RequestID,
		})
	})
}
